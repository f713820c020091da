"""Predictor: texts in, answers out, in their order."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hfrecipes import Predictor
from hfrecipes.checkpoint import load_trained
from hfrecipes.errors import ModelError
from hfrecipes.folder import Run
from hfrecipes.inference.predictor import AT_FIRST, LOOK_AHEAD
from hfrecipes.stages.export import batches
from hfrecipes.targets.cpu import Cpu
from tests.conftest import sentiment

ROWS = sentiment(40, start=500)
TEXTS = [row["text"] for row in ROWS]
HEAVY = [
    *("torch", "transformers", "datasets", "sklearn", "scipy", "optimum", "typer", "yaml", "tqdm", "sqlite3", "pydantic"),
    *("hfrecipes.config", "hfrecipes.data", "hfrecipes.models", "hfrecipes.recipe"),
]
"""What a new process that answers over a bundle has no need of."""


@pytest.fixture(scope="module")
def predictor(finished: Path) -> Predictor:
    """The fp32 graph of the finished run, whose answers do not depend on the batch."""
    return Predictor.open(finished, "fp32", threads=1)


def test_answers_come_in_the_order_of_the_texts(predictor: Predictor) -> None:
    assert [answer.label for answer in predictor(TEXTS)] == [row["label"] for row in ROWS]


def test_a_single_text_gives_a_single_answer(predictor: Predictor) -> None:
    answer = predictor("the film was good")
    assert answer.label == "positive"
    assert answer.score == max(answer.scores.values())
    assert sum(answer.scores.values()) == pytest.approx(1.0)


def test_the_same_answer_is_given_alone_in_a_list_and_in_a_stream(predictor: Predictor) -> None:
    alone = [predictor(text).scores["positive"] for text in TEXTS]
    assert [answer.scores["positive"] for answer in predictor(TEXTS)] == pytest.approx(alone, abs=1e-5)
    assert [answer.scores["positive"] for answer in predictor(iter(TEXTS))] == pytest.approx(alone, abs=1e-5)


def test_a_graph_whose_answers_depend_on_the_batch_gets_texts_of_one_length_together(finished: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished / "bundles/cpu", tmp_path / "cpu"))
    (bundle / "onnx").rename(bundle / "before")
    graphs = Cpu(quantize="dynamic").export(load_trained(finished / "model"), batches(Run.open(finished)), bundle)
    dynamic = Predictor.over(bundle, dataclasses.asdict(graphs["int8"]), Cpu.providers)
    assert dynamic.batch_dependent
    together = {text: answer.label for text, answer in zip(TEXTS, dynamic(TEXTS), strict=True)}
    assert {text: dynamic(text).label for text in TEXTS} == together


def test_the_served_graph_answers_a_text_the_same_to_the_last_bit_whatever_it_comes_with(finished: Path) -> None:
    served = Predictor.open(finished)
    assert not served.batch_dependent
    together = served.together([served._row(text) for text in TEXTS])
    assert [served(text).scores for text in TEXTS] == [answer.scores for answer in together]


def test_a_stream_is_read_a_window_ahead_and_no_further(predictor: Predictor) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "good film"

    answers = predictor(endless())
    assert read == 0
    assert next(answers).label == "positive"
    assert read == AT_FIRST
    for answered in range(2, 3 * LOOK_AHEAD):
        next(answers)
        assert read - answered < LOOK_AHEAD
    assert read == AT_FIRST * (2**6 - 1) + LOOK_AHEAD * 2


def test_nothing_gives_nothing(predictor: Predictor) -> None:
    assert predictor([]) == []
    assert predictor(()) == []
    assert list(predictor(iter([]))) == []


def test_a_mapping_is_its_columns_and_a_pair_is_two_texts(predictor: Predictor) -> None:
    assert predictor({"text": "good film", "label": "unused"}) == predictor("good film")
    assert predictor([("good film", "it was great")]) == predictor([{"text": "good film", "text_pair": "it was great"}])
    assert predictor([("good film", "bad end")])[0].scores != predictor(["good film"])[0].scores


@pytest.mark.parametrize("text", ["", " ", "\x00", "\U0001f600" * 50, "good " * 1000, "zzz unknown"])
def test_any_text_has_an_answer(text: str, predictor: Predictor) -> None:
    assert predictor(text).label in ("negative", "positive")


def test_a_bundle_a_run_and_a_checkpoint_answer_the_same(finished: Path) -> None:
    base = Predictor.open(finished, "pytorch")(TEXTS)
    opened = [
        Predictor.open(finished / "model"),
        Predictor.open(finished / "bundles/cpu", "fp32"),
        Predictor.open(finished, "cpu/fp32"),
    ]
    assert len(opened) == 3
    for predictor in opened:
        answers = predictor(TEXTS)
        assert [a.label for a in answers] == [a.label for a in base]
        assert [a.score for a in answers] == pytest.approx([a.score for a in base], abs=1e-4)


def test_the_default_graph_is_the_one_to_serve(finished: Path) -> None:
    served, named = Predictor.open(finished)(TEXTS), Predictor.open(finished, "cpu/int8")(TEXTS)
    assert served == named


def test_a_bundle_that_was_cut_short_is_refused(finished: Path, tmp_path: Path) -> None:
    import shutil

    bundle = Path(shutil.copytree(finished / "bundles/cpu", tmp_path / "cpu"))
    whole = (bundle / "onnx/model.onnx").read_bytes()
    (bundle / "onnx/model.onnx").write_bytes(whole[:-1])
    with pytest.raises(ModelError, match="is not the file that its manifest names"):
        Predictor.open(bundle)


def test_a_new_process_imports_nothing_that_answers_do_not_need(finished: Path) -> None:
    program = (
        "import json, sys\n"
        "from hfrecipes import Predictor\n"
        f"answer = Predictor.open({str(finished)!r})('the film was good')\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([answer.label, heavy, 'onnxruntime' in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["positive", [], True]


def test_a_repository_of_the_hub_is_opened_by_its_name(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    commit = "0" * 40
    repository = tmp_path / "models--someone--films"
    shutil.copytree(finished / "model", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert Predictor.open("someone/films")("the film was good").label == "positive"
    with pytest.raises(ModelError, match="there is no such folder, and on the Hub"):
        Predictor.open("someone/plays")


def test_rows_together_are_one_batch_as_far_as_memory_allows(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Predictor.open(finished, "fp32")
    shapes: list[tuple[int, ...]] = []

    def engine(batch: Any) -> Any:
        shapes.append(batch["input_ids"].shape)
        return whole.engine(batch)

    rows = [{"text": text} for text in ("the film was good", "bad", "the plot was lovely and my scene")]
    noted = dataclasses.replace(whole, engine=engine)
    one = noted.together(rows)
    monkeypatch.setattr("hfrecipes.inference.predictor.TOGETHER", 20)
    several = noted.together(rows)
    assert [shape[0] for shape in shapes] == [3, 2, 1]
    assert [answer.label for answer in one] == [answer.label for answer in several]
