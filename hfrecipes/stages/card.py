"""card: the model card of a run, out of what its stages measured. Written anew each time, and merged with what people wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hfrecipes import distributed, energy
from hfrecipes.apart import of_bundle, repository
from hfrecipes.card import FILE, Card, compose, merge
from hfrecipes.checks import CHECKLIST
from hfrecipes.folder import Run, read_json, write_json, write_text
from hfrecipes.report import Report, markdown_table, verdict_in_words

if TYPE_CHECKING:
    from hfrecipes.recipe import Recipe

RESULTS = ".eval_results"
FRONT = "card.json"
"""The front matter that was generated the last time."""
TAGS = {"generative-question-answering": "text2text-generation", "span-corruption": "text2text-generation"}
"""The Hub's task of a task of ours that the Hub does not know."""
PATTERN = """
The model reads a text in a pattern, in which hfrecipes writes it by itself; elsewhere write: `{pattern}`.
"""
USE = """
With transformers:

```python
from transformers import AutoTokenizer, {auto}

model = {auto}.from_pretrained("{repo}")
tokenizer = AutoTokenizer.from_pretrained("{repo}")
```

{onnx}With hfrecipes, from the quantized ONNX graph, without torch{torch}:

{hfrecipes}"""
HFRECIPES = """```python
from hfrecipes import Predictor

predictor = Predictor.open("{repo}")
predictor({example})
```
"""
ONNX = """With ONNX Runtime alone ({fetch}):

```python
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path("{folder}")
session = onnxruntime.InferenceSession(folder / "{file}")
read = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("…")
every = {{"input_ids": read.ids, "attention_mask": read.attention_mask, "token_type_ids": read.type_ids}}
wanted = [entry.name for entry in session.get_inputs()]
outputs = session.run(None, {{name: np.array([every[name]], dtype=np.int64) for name in wanted}})
```

"""


def card(recipe: Recipe, run: Run) -> None:
    """Write `README.md` of the run, or merge the one that is there."""
    distributed.on_main(lambda: _write(recipe, run))


def _write(recipe: Recipe, run: Run) -> None:
    found = Report.load(run.path)
    limits = recipe.card.limits if recipe.card else ""
    write_card(run.path / FILE, run.path / FRONT, front_of(recipe, found), _title(recipe), _parts(recipe, run, found), limits)
    if recipe.card and recipe.card.benchmark:
        _write_result(recipe, recipe.card, run, found)


def write_card(file: Path, noted: Path, front: dict[str, Any], title: str, parts: dict[str, str], limits: str) -> None:
    """Write a card, or merge the one that is there; `noted` is where its front matter is kept for the next time."""
    if file.is_file():
        before = read_json(noted) if noted.is_file() else {}
        text = merge(file.read_text("utf-8"), front, before, parts)
    else:
        text = compose(front, title, parts, limits)
    write_text(file, text)
    write_json(noted, front)


def _write_result(recipe: Recipe, mine: Card, run: Run, found: Report) -> None:
    """The figure that decides, as the Hub's leaderboards read it."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    dataset = str(mine.benchmark)
    score = _own_scores(recipe, found)[found.values["figures"][0]]
    entry = EvalResultEntry(dataset_id=dataset, task_id=mine.benchmark_task, value=round(score, 6))
    folder = run.path / RESULTS
    folder.mkdir(exist_ok=True)
    write_text(
        folder / f"{dataset.rpartition('/')[2]}.yaml", yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
    )


def _title(recipe: Recipe) -> str:
    return recipe.publish.where.rpartition("/")[2] if recipe.publish else f"{recipe.name} for {recipe.task.name}"


def front_of(recipe: Recipe, found: Report) -> dict[str, Any]:
    """The front matter that the Hub reads."""
    tag = TAGS.get(recipe.task.name, recipe.task.name)
    mine = recipe.card
    data = list(mine.datasets) if mine and mine.datasets else ([recipe.data.path] if recipe.data.local() is None else [])
    base = recipe.model.path if recipe.model.path and _on_hub(recipe.model.path) else None
    results = [{"type": name, "name": name, "value": round(score, 6)} for name, score in _own_scores(recipe, found).items()]
    dataset = {"name": data[0] if data else recipe.data.path.rpartition("/")[2], "type": data[0] if data else "private"}
    dataset |= {"split": found.values["split"]} | ({"revision": recipe.data.revision} if recipe.data.revision else {})
    front = {
        "library_name": "transformers",
        "pipeline_tag": tag,
        "license": mine.license if mine else None,
        "language": list(mine.language) if mine and not isinstance(mine.language, str) else mine and mine.language,
        "base_model": base,
        "base_model_relation": "finetune" if base else None,
        "datasets": data,
        "tags": ["hfrecipes", *([] if _apart(recipe) else ["onnx"]), *(mine.tags if mine else ())],
        "co2_eq_emissions": _emissions(recipe, found),
        "model-index": [{"name": _title(recipe), "results": [{"task": {"type": tag}, "dataset": dataset, "metrics": results}]}],
    }
    return {key: entry for key, entry in front.items() if entry}


def _apart(recipe: Recipe) -> bool:
    return recipe.publish is not None and recipe.publish.apart


def _own_scores(recipe: Recipe, found: Report) -> dict[str, float]:
    """The figures of what the repository of the weights answers with: what is served, or the weights where that is apart."""
    return found.of("pytorch") if _apart(recipe) else found.scores


def _emissions(recipe: Recipe, found: Report) -> dict[str, Any] | None:
    """What the Hub shows as carbon emissions: only for an energy that was measured, at the intensity that the recipe gives."""
    spent, mine = found.values.get("energy"), recipe.card
    if not spent or mine is None or mine.carbon_intensity is None or (used := energy.kwh(spent)) is None:
        return None
    told = {
        "emissions": round(used * mine.carbon_intensity, 6),
        "source": f"{energy.in_words(spent)}; at {mine.carbon_intensity:g} g a kWh, as the recipe says",
        "training_type": "pre-training" if recipe.model.new else "fine-tuning",
        "geographical_location": mine.location,
        "hardware_used": ", ".join(spent["hardware"]),
    }
    return {key: entry for key, entry in told.items() if entry}


def _on_hub(path: str) -> bool:
    return path.count("/") == 1 and not path.startswith((".", "/", "~", "runs/", "models/", "package:"))


def _parts(recipe: Recipe, run: Run, found: Report) -> dict[str, str]:
    """The generated parts of the card by their names, in their order."""
    values = found.values
    rows, cpu = values["data"]["rows"], values["hardware"]
    served = values.get("served", "pytorch")
    parts = {
        "use": "## Use\n"
        + (f"\n{recipe.card.intended_use}\n" if recipe.card and recipe.card.intended_use else "")
        + _use(recipe, run),
        "evaluation": "## Evaluation\n\n"
        f"Measured on {values['test_rows']} rows of the {values['split']} split, with this checkpoint and these "
        f"bundles, on {cpu['cpu']} "
        f"({cpu['cores']} cores). `{served}` is served. MB are 10^6 bytes of weights; p50 and p95 are for one text.\n\n"
        + markdown_table(*found.rows()),
        "training": "## Training\n\n"
        f"{rows['train']} rows to learn from, {rows['validation']} to choose by (sha256 of the rows "
        f"`{values['data']['fingerprint'][:16]}`), "
        f"from {recipe.model.label.rpartition('/')[2]} by `{recipe.strategy.name}`, in "
        f"{_cost(values)}.",
    }
    if (run.path / "folds.json").is_file() and recipe.validate:
        folds = read_json(run.path / "folds.json")
        told = ", ".join(f"{name} {mean:.4f} ± {folds['sd'][name]:.4f}" for name, mean in folds["mean"].items())
        parts["training"] += f"\n\nOver {len(folds['folds'])} folds of the training rows: {told}."
    if values.get("checks"):
        parts["checklist"] = "## Release checklist\n\n" + _checklist(values["checks"])
        parts["failures"] = "## Known failures\n\n" + _failures(run)
    return parts


def _cost(values: dict[str, Any]) -> str:
    """The time of the training, the hardware, and the energy."""
    spent, processes = values.get("energy"), f"{values['processes']} process(es) on"
    if spent is None:
        return f"{values['seconds']['train'] / 60:.1f} minutes of {processes} {values['hardware']['cpu']}"
    tries = f" ({spent['tries']} tries)" if spent["tries"] > 1 else ""
    took = f"{spent['seconds'] / 60:.1f} minutes{tries} of {processes} {', '.join(spent['hardware'])}"
    return f"{took}. Energy: {energy.in_words(spent)}"


def _use(recipe: Recipe, run: Run) -> str:
    repo = recipe.publish.repo if recipe.publish and recipe.publish.repo else "path/of/the/release"
    torch = " where it does not write" if recipe.task.generates else ""
    onnx, served, index = "", repo, run.bundles / "index.json"
    if index.is_file():
        target = read_json(index)["default"]
        served = repository(repo, of_bundle(target)) if _apart(recipe) else repo
        if not recipe.task.generates:
            onnx = onnx_use(run, target, served, served if served != repo else f"{repo}/bundles/{target}")
    told = PATTERN.format(pattern=recipe.task.pattern.text) if recipe.task.pattern else ""
    return told + USE.format(
        auto=auto(recipe), onnx=onnx, repo=repo, torch=torch, hfrecipes=HFRECIPES.format(repo=served, example=example_for(recipe))
    )


def example_for(recipe: Recipe) -> str:
    """A text as the task reads one, as code."""
    columns = [role for role, column in recipe.task.columns.items() if column.text and column.required]
    return "{" + ", ".join(f'"{role}": "…"' for role in columns) + "}" if len(columns) > 1 else '"…"'


def onnx_use(run: Run, target: str, repo: str, folder: str) -> str:
    """How to use the graph of a bundle that is to be served, in a folder of a repository, with ONNX Runtime alone."""
    manifest = read_json(run.bundles / target / "manifest.json")
    fetch = f"the folder is that of `snapshot_download('{repo}')`" if "path/" not in repo else "the folder is the release's"
    return ONNX.format(fetch=fetch, folder=folder, file=manifest["graphs"][manifest["default"]]["file"])


def auto(recipe: Recipe) -> str:
    """The class of transformers that loads the model."""
    from hfrecipes.family import auto_class

    return str(auto_class(recipe.task.heads[recipe.family.architecture]).__name__)


def _checklist(verdicts: list[dict[str, Any]]) -> str:
    shown = {verdict["check"] for verdict in verdicts}
    rows = [[verdict["check"], verdict_in_words(verdict), verdict["reason"].replace("|", "\\|")] for verdict in verdicts]
    rows += [[name, "not shown", ""] for name in CHECKLIST if name not in shown]
    return markdown_table(["item", "verdict", "figures"], rows)


def _failures(run: Run) -> str:
    """What the evidence says the model does badly."""
    folder = run.path / "evidence"
    told = []
    if (folder / "slices.json").is_file():
        found = read_json(folder / "slices.json")
        worst = sorted(found["slices"].items(), key=lambda entry: entry[1]["score"], reverse=found["lower_is_better"])[:5]
        told += [
            f"- {name}: {found['figure']} {each['score']:.4f} ({each['interval'][0]:.4f} … {each['interval'][1]:.4f}) "
            f"on {each['rows']} rows"
            for name, each in worst
        ]
    if (folder / "edge_cases.json").is_file():
        cases = read_json(folder / "edge_cases.json")["cases"]
        told += [
            f"- {name}: {each['changed']:.0%} of the answers change that should not"
            for name, each in sorted(cases.items(), key=lambda entry: -(entry[1]["changed"] or 0))
            if each["changed"]
        ][:5]
    if (folder / "uncertainty.json").is_file():
        found = read_json(folder / "uncertainty.json")
        if found["coverage"] is not None:
            told.append(
                f"- at a coverage of {found['asked_coverage']:.0%} the truth is within what is promised for "
                f"{found['coverage']:.1%}"
            )
        told.append(f"- confidence is off by {found['calibration_error']:.4f} on average (expected calibration error)")
    return "\n".join(told) or "None was looked for."
