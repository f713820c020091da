"""inference: CPU time of answers on one thread, a run's bundles against transformers' pipeline, ONNX Runtime and PyTorch alone.

The model is `recipes/bert/banking77.yaml`'s: from `runs/banking77` where that is there, else trained first. It has two
bundles: `cpu`, the fastest int8 graph, and `cascade`, the same behind a static student that it teaches. What a text takes is
asked of the second, and said of the first beside it; all else is asked of the first.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.goals import Goal, faster
from tests.benchmarks.one_labelling import INT8
from tests.benchmarks.processes import ONE_THREAD, QUIET, answer

ROUNDS = 5
TEXTS, MANY = 192, 1_000
FEW, MILLION = 1_000, 1_000_000
LIKE = 0.99
"""The share of held-out rows on which a graph that is chosen says what fp32 says: of new ones 98 of 100 are the goal."""
RUN = Path("runs/banking77")
OURS = "from hfrecipes import Predictor; Predictor.open({run!r}, threads=1)('my card has not come')"
PIPELINE = "from transformers import pipeline; pipeline('text-classification', model={run!r} + '/model')('my card has not come')"

WRITERS = {"gpt/scitldr": "models/smollm2-135m", "t5/tatoeba": "models/flan-t5-small"}
"""Recipes of models that write, and the checkpoints that they need."""
WRITING = 3
"""Rounds of those, which take longer."""
STREAM = """
import itertools, json, time
from hfrecipes import Predictor
from hfrecipes.inference.cache import Cache
from tests.benchmarks.one_labelling import texts
peak = lambda: next(int(line.split()[1]) / 1e3 for line in open("/proc/self/status") if line.startswith("VmHWM"))
given = texts(3000)
started = time.perf_counter()
answers = Predictor.open({run!r}, threads=1, cache=Cache())(itertools.islice(itertools.cycle(given), {count}))
next(answers)
first = time.perf_counter() - started
for _ in range(9_999):
    next(answers)
early = peak()
left = sum(1 for _ in answers)
print(json.dumps({{"first_s": first, "mb": peak() - early, "count": left + 10_000}}))
"""

Found = dict[str, list[dict[str, Any]]]


def measure() -> list[Goal]:
    """Many texts, one text, a new process, and what int8 costs."""
    with tempfile.TemporaryDirectory() as folder:
        run = str(trained(Path(folder)))
        peer = int8(run, Path(folder) / "int8")
        bulk = rounds(run, ("cascade", "ours", "pipeline_32", "pipeline_1", "ort_one", "graph_one"), TEXTS, ort_one=peer)
        alone = rounds(run, ("cascade_one", "ours_one", "pipeline_one", "cascade_32", "ours_32", "eager"), TEXTS)
        for found, side, peers in (
            (bulk, "ours", ("pipeline_32", "pipeline_1", "ort_one", "graph_one")),
            (alone, "ours_one", ("pipeline_one",)),
            (alone, "ours_32", ("eager",)),
        ):
            for other in peers:
                print(f"{side}, the int8 graph alone, over {other}: {goal('', found, side, other, 0).value:.2f} times")
        return [
            goal("text in, label out, over pipeline(batch_size=32)", bulk, "cascade", "pipeline_32", 22.0),
            goal("text in, label out, over pipeline(batch_size=1)", bulk, "cascade", "pipeline_1", 10.0),
            goal("text in, label out, over ONNX Runtime's own int8 one by one", bulk, "cascade", "ort_one", 1.5),
            equal("labels equal to fp32's", bulk, "cascade", "pipeline_1", 0.98),
            goal("one text, over pipeline(text)", alone, "cascade_one", "pipeline_one", 6.0),
            equal("the same, labels equal to fp32's", alone, "cascade_one", "pipeline_one", 0.98),
            goal("one text of 32 tokens, over the PyTorch model alone", alone, "cascade_32", "eager", 6.0),
            equal("the same, labels equal to PyTorch's", alone, "cascade_32", "eager", 0.98),
            *caching(run, statistics.median(entry["ms"] for entry in bulk["cascade"])),
            *starting(run),
            *rounded(run),
            *shared(run),
            *streamed(run),
            *(goal for name in WRITERS for goal in written(Path(folder), name)),
        ]


def trained(folder: Path) -> Path:
    """A run of the recipe with both bundles, and beside it the student. What `runs` has of it is not made again."""
    run, student = folder / "run", folder / "student"
    if RUN.is_dir():
        shutil.copytree(RUN, run)
    whole = ["recipes/bert/banking77.yaml", "-o", str(run)]
    taught = [f"vectors.encoder.teacher={run}", f"objective.distill.teacher={run}", "export=[cpu]", "check=[]"]
    for command in (
        ["fit", *whole],
        ["run", "recipes/static/banking77_static.yaml", *taught, "-o", str(student)],
        ["fit", *whole, f"export=[cpu, {{cascade: {{first: {student}}}}}]", f"check=[{{parity: {{quantized: {LIKE}}}}}]"],
        ["ship", str(run), "--waive", "parity=it is asked of held-out rows, where graphs are chosen"],
    ):
        subprocess.run([sys.executable, "-m", "hfrecipes", *command], check=True, stdout=sys.stderr)
    return run


def int8(run: str, folder: Path) -> str:
    """A folder with the checkpoint as transformers exports it and ONNX Runtime makes it int8, with dynamic scales."""
    import numpy as np
    import onnx_ir
    from transformers import AutoModelForSequenceClassification
    from transformers.exporters import OnnxConfig, OnnxExporter

    from hfrecipes.targets._onnx import quantized, quiet, tensors

    model = AutoModelForSequenceClassification.from_pretrained(f"{run}/model").eval()
    names = ("input_ids", "attention_mask", "token_type_ids")
    batch = tensors({name: np.ones((2, 8), np.int64) for name in names})
    with quiet():
        exported = OnnxExporter().export(model, batch, OnnxConfig(dynamic=True))
    folder.mkdir()
    onnx_ir.save(quantized(exported, writes=False).program, folder / INT8)
    for name in ("tokenizer.json", "config.json"):
        shutil.copy(f"{run}/model/{name}", folder / name)
    return str(folder)


def rounds(run: str, sides: tuple[str, ...], count: int, **elsewhere: str) -> Found:
    """What each side took in each round; `elsewhere` are the folders of sides that do not read the run."""
    found: Found = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side in sides:
            asked = json.dumps({"side": side, "run": elsewhere.get(side, run), "texts": count})
            found[side].append(answer(["-m", "tests.benchmarks.one_labelling", asked], side, **ONE_THREAD))
    return found


def goal(figure: str, found: Found, ours: str, peer: str, bound: float) -> Goal:
    """The median of the rounds' ratios of CPU milliseconds."""
    return faster(f"{figure} (CPU ms a text, median of {ROUNDS})", found, ours, peer, bound, "ms", "ms")


def equal(figure: str, found: Found, ours: str, peer: str, bound: float) -> Goal:
    """The share of labels that both sides give."""
    pairs = list(zip(found[ours][0]["labels"], found[peer][0]["labels"], strict=True))
    share = sum(a == b for a, b in pairs) / len(pairs)
    return Goal(figure, f"{share:.1%}", f"of {len(pairs)}", share, bound)


def caching(run: str, ms: float) -> list[Goal]:
    """A text that is known, what a miss adds to `ms` of a text, and what a million answers take."""
    few, many = (
        [answer(["-m", "tests.benchmarks.one_cache", run, str(n)], str(n), **ONE_THREAD) for _ in range(ROUNDS)]
        for n in (FEW, MILLION)
    )
    hit, flat, missed = (
        statistics.median(found)
        for found in (
            [entry["hit_us"] for entry in many],
            [b["hit_us"] / a["hit_us"] for a, b in zip(few, many, strict=True)],
            [entry["miss_us"] for entry in many],
        )
    )
    memory = max(entry["mb"] for entry in many)
    alone = [statistics.median(entry["alone_us"] for entry in side) for side in (many, few)]
    return [
        Goal("a text that is known, among a million answers (CPU µs)", f"{hit:.2f} µs", "-", hit, 5.0, at_least=False),
        Goal(
            f"the same, over a thousand answers (of the cache alone {alone[0]:.2f} and {alone[1]:.2f} µs)",
            f"{hit:.2f} µs",
            f"{hit / flat:.2f} µs",
            flat,
            1.15,
            at_least=False,
        ),
        Goal(
            "what a miss adds to a text of many", f"{missed:.2f} µs", f"{ms:.2f} ms", missed / (1000 * ms), 0.01, at_least=False
        ),
        Goal("MB of a million answers", f"{memory:.0f} MB", "-", memory, 250, at_least=False),
    ]


def starting(run: str) -> list[Goal]:
    """A new process up to its first label, and what importing the package takes."""
    spent(OURS.format(run=run))
    sides = {"ours": OURS, "pipeline": PIPELINE}
    turns = [{name: spent(code.format(run=run)) for name, code in sides.items()} for _ in range(ROUNDS)]
    found = {name: [turn[name] for turn in turns] for name in sides}
    mine, its = ([entry[0] for entry in found[name]] for name in ("ours", "pipeline"))
    ratio = statistics.median(b / a for a, b in zip(mine, its, strict=True))
    memory, peer = (max(entry[1] for entry in found[name]) for name in ("ours", "pipeline"))
    bare, ours = (statistics.median(spent(code)[0] for _ in range(ROUNDS)) for code in ("pass", "import hfrecipes"))
    return [
        Goal("a new process up to its first label, over pipeline (CPU s)", f"{statistics.median(mine):.2f} s",
             f"{statistics.median(its):.2f} s", ratio, 12.0),
        Goal("the same, MB of memory at its most", f"{memory:.0f} MB", f"{peer:.0f} MB", memory, 150, at_least=False),
        Goal("import hfrecipes (CPU s)", f"{ours - bare:.3f} s", "-", ours - bare, 0.1, at_least=False),
    ]  # fmt: skip


def spent(code: str) -> tuple[float, float]:
    """CPU seconds and MB at the most of a program in a process of its own."""
    # A process inherits the peak in `ru_maxrss` from the one that starts it; VmHWM is its own.
    peak = "next(int(line.split()[1]) / 1e3 for line in open('/proc/self/status') if line.startswith('VmHWM'))"
    program = f"import time\n{code}\nprint(time.process_time(), {peak})"
    command = [sys.executable, "-c", program]
    environment = {**os.environ, **QUIET, **ONE_THREAD, "PYTHONDONTWRITEBYTECODE": ""}  # an installed package is compiled
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    seconds, memory = map(float, done.stdout.split()[-2:])
    return seconds, memory


def rounded(run: str) -> list[Goal]:
    """What the served graph's answers and size are beside fp32's."""
    from hfrecipes import Predictor
    from hfrecipes.folder import opened
    from tests.benchmarks.one_labelling import texts

    given = texts(MANY)
    served, exact = Predictor.open(run, threads=1), Predictor.open(run, "cpu/fp32", threads=1)
    together = [answer.label for answer in served(given)]
    alone = [served(text).label for text in given]
    whole = [answer.label for answer in exact(given)]
    graphs = {name: Path(run, "bundles/cpu", graph["file"]) for name, graph in opened(Path(run, "bundles/cpu"))["graphs"].items()}
    sizes = {name: file.stat().st_size / 1e6 for name, file in graphs.items()}
    smallest = sizes[list(graphs)[-1]]
    flips = sum(a != b for a, b in zip(alone, together, strict=True))
    agree = sum(a == b for a, b in zip(together, whole, strict=True)) / len(given)
    return [
        Goal(f"labels of {len(given)} that differ between alone and in a batch", str(flips), "-", flips, 0, at_least=False),
        Goal(f"agreement with fp32 on {len(given)} texts", f"{agree:.1%}", "-", agree, 0.99),
        Goal("size over fp32", f"{smallest:.1f} MB", f"{sizes['fp32']:.1f} MB", sizes["fp32"] / smallest, 3.8),
    ]  # fmt: skip


def shared(run: str) -> list[Goal]:
    """Two sessions with a core each over one session with one thread, seconds on the wall in turns."""
    from hfrecipes import Predictor
    from tests.benchmarks.one_labelling import texts

    given = texts(MANY)
    sides = {"one": Predictor.open(run, threads=1), "two": Predictor.open(run, devices=["cpu", "cpu"])}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS + 1):
        for name, predictor in sides.items():
            started = time.perf_counter()
            predictor(given)
            found[name].append(time.perf_counter() - started)
    ratio = statistics.median(a / b for a, b in zip(found["one"][1:], found["two"][1:], strict=True))
    took = [f"{statistics.median(found[name][1:]):.2f} s" for name in ("two", "one")]
    return [Goal(f"{len(given)} texts, two sessions over one (seconds on the wall)", *took, ratio, 1.7)]


def streamed(run: str) -> list[Goal]:
    """A million texts as a stream, three thousand different ones that a cache answers after the first time."""
    found = answer(["-c", STREAM.format(run=run, count=MILLION)], "stream", **ONE_THREAD)
    return [
        Goal("a stream up to its first answer, opening included", f"{found['first_s']:.2f} s", "-", found["first_s"], 1.0, False),
        Goal(
            f"MB that {found['count']:,} texts take beyond the first 10,000", f"{found['mb']:.0f} MB", "-", found["mb"], 20, False
        ),
    ]


def written(folder: Path, recipe: str) -> list[Goal]:
    """Tokens of a model that writes: its int8 bundle beside fp32 `generate`, and eight rows at a time beside one."""
    if not Path(WRITERS[recipe]).is_dir() or "HFRECIPES_DATA" not in os.environ:
        print(f"{recipe}: left out, it needs {WRITERS[recipe]} (make models) and HFRECIPES_DATA", file=sys.stderr)
        return []
    run = folder / recipe
    code = (
        "from hfrecipes import Recipe, verbs\n"
        "from hfrecipes.stages.export import export\n"
        f"recipe = Recipe.load('recipes/{recipe}.yaml', ['train.max_steps=1', 'data.max_samples=64'])\n"
        f"export(recipe, verbs.learn(recipe, {str(run)!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=sys.stderr, env={**os.environ, **QUIET})
    sides = {"fp32": ("pytorch", 1), "one": ("cpu/int8", 1), "eight": ("cpu/int8", 8)}
    found: Found = {side: [] for side in sides}
    for _ in range(WRITING):
        for side, (graph, rows) in sides.items():
            asked = json.dumps({"run": str(run), "graph": graph, "rows": rows})
            found[side].append(answer(["-m", "tests.benchmarks.one_writing", asked], side, **ONE_THREAD))
    pairs = zip(found["one"][0]["tokens"], found["fp32"][0]["tokens"], strict=True)
    kept = [
        next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), len(pair[1])) / len(pair[1]) for pair in pairs
    ]
    name = WRITERS[recipe].partition("/")[2]
    said = f"{name}: int8 over fp32 generate, one row (tokens up to the first other one: {statistics.mean(kept):.0%})"
    return [
        faster(said, found, "one", "fp32", 2.5, "ms", "ms a token"),
        faster(f"{name}: eight rows at a time over one", found, "eight", "one", 4.0, "ms", "ms a token"),
    ]
