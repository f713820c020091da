"""The compress stage: what a recipe asks for, in order, weighed; recovered with the model from before as its teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hfrecipes import verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.cli import main
from hfrecipes.config import build
from hfrecipes.folder import Run, read_json
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report, compression, sentences
from hfrecipes.stages.compress import weigh
from hfrecipes.zeros import shares
from tests.conftest import GOOD, write_lines

Asked = Callable[..., Recipe]


@pytest.fixture
def asked(values: dict[str, Any]) -> Asked:
    def made(*compress: Any, **more: Any) -> Recipe:
        return build(Recipe, {**values, "compress": list(compress), "check": [], **more})

    return made


@pytest.fixture(scope="module")
def pruned(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    steps = [
        {"heads": {"keep": 0.5}},
        {"feed_forward": {"keep": 0.5}},
        {"magnitude": {"sparsity": 0.5}},
        {"recover": {"epochs": 2}},
    ]
    run = Run(tmp_path_factory.mktemp("pruned") / "run")
    verbs.run(build(Recipe, {**values, "compress": steps}), run.path)
    return run


def test_every_step_is_weighed_and_stands_in_the_report(pruned: Run) -> None:
    report = Report.load(pruned.path)
    steps = report.values["compression"]["steps"]
    assert [step["name"] for step in steps] == ["trained", "heads", "feed_forward", "magnitude", "recover"]
    blocks = [step["in_blocks"] for step in steps]
    assert blocks[0] > blocks[1] > blocks[2] == blocks[3] == blocks[4]
    assert steps[2]["zeros"] < 0.01 * blocks[2] < steps[3]["zeros"]
    assert steps[3]["zipped_mb"] < 0.9 * steps[2]["zipped_mb"]
    assert all(step["ms"] > 0 and step["trained_ms"] > 0 for step in steps)
    text = (pruned.path / "report.md").read_text("utf-8")
    assert "| recover |" in text
    assert "zipped, the weights are" in text


def test_what_was_trained_and_what_became_of_it_are_both_measured(pruned: Run) -> None:
    found = {candidate.name: candidate for candidate in Report.load(pruned.path).frontier}
    assert {"trained", "pytorch", "cpu/fp32", "cpu/int8"} == set(found)
    assert found["pytorch"].mb < found["trained"].mb
    assert found["pytorch"].scores["accuracy"] > 0.8
    assert found["cpu/fp32"].scores == found["pytorch"].scores


def test_zeros_stay_zero_in_recovery(pruned: Run) -> None:
    zeros = shares(load_trained(pruned.model))
    assert zeros == read_json(pruned.path / "compression.json")["zeros"]
    assert len(zeros) == 12
    assert not (pruned.path / "recovery").exists()


@pytest.mark.parametrize("strategy", ["full", "lora", "head_then_full"])
def test_zeros_stay_zero_in_a_training_of_another_recipe(strategy: str, pruned: Run, asked: Asked, tmp_path: Path) -> None:
    train = {"learning_rate": 1e-2, "num_train_epochs": 2, "bf16": False}
    again = verbs.fit(asked(model=str(pruned.path), strategy=strategy, train=train, export=[]), tmp_path)
    before, after = (load_trained(run.model) for run in (pruned, again))
    assert shares(after) == shares(before)
    assert after.config.to_dict()["layer_shapes"] == before.config.to_dict()["layer_shapes"]


def test_recovery_learns_from_the_model_that_was_there_before(asked: Asked, tmp_path: Path) -> None:
    removed: dict[str, Any] = {"feed_forward": {"keep": 0.1}}
    scores = []
    for name, steps in {"alone": [removed], "recovered": [removed, {"recover": {"epochs": 3}}]}.items():
        run = verbs.fit(asked(*steps, export=[]), tmp_path / name)
        scores.append(read_json(run.model / "scores.json")["validation"]["loss"])
    assert scores[1] < scores[0]


def test_a_recovered_model_is_weighed_as_it_is_loaded(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the bf16 that it was trained in."""
    seen: list[Any] = []

    def weighed(name: str, model: Any, trained: Any, batch: Any) -> dict[str, Any]:
        found: dict[str, Any] = weigh(name, model, trained, batch)
        seen[:] = [batch, model(**batch).logits.detach()]
        return found

    monkeypatch.setattr("hfrecipes.stages.compress.weigh", weighed)
    train = {"learning_rate": 1e-2, "num_train_epochs": 1, "bf16": True}
    run = verbs.fit(asked({"feed_forward": {"keep": 0.5}}, {"recover": {"epochs": 1}}, train=train, export=[]), tmp_path)
    batch, logits = seen
    torch.testing.assert_close(logits, load_trained(run.model).eval()(**batch).logits.detach(), atol=1e-6, rtol=0)


def test_a_model_of_embeddings_is_compressed_by_the_loss_of_its_own_task(tiny_bert: Path, tmp_path: Path) -> None:
    rows = [
        {"sentence1": f"the film was {a}", "sentence2": f"the plot was {b}", "score": 5.0 * (a == b)} for a in GOOD for b in GOOD
    ]
    for split in ("train", "test"):
        write_lines(tmp_path / f"data/{split}.jsonl", rows)
    data = {"path": str(tmp_path / "data"), "text": "sentence1", "text_pair": "sentence2", "score": "score"}
    train = {"learning_rate": 1e-3, "num_train_epochs": 1, "per_device_train_batch_size": 4, "bf16": False}
    given = {"recipe": "bert", "task": "sentence-similarity", "data": data, "model": str(tiny_bert), "train": train}
    steps = [{"heads": {"keep": 0.5}}, "vocabulary"]
    run = verbs.run(build(Recipe, {**given, "compress": steps, "export": ["cpu"], "check": []}), tmp_path / "run").path.parent
    assert load_trained(run / "model").config.to_dict()["layer_shapes"]
    assert Report.load(run).frontier[1].mb < Report.load(run).frontier[0].mb


def test_a_second_run_skips_the_stage_and_a_change_redoes_it_alone(
    asked: Asked, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hfrecipes")
    verbs.fit(asked({"layers": {"keep": 1}}, export=[]), tmp_path)
    caplog.clear()
    verbs.fit(asked({"layers": {"keep": 1}}, export=[]), tmp_path)
    assert "compress: nothing has changed, skipped" in caplog.messages
    caplog.clear()
    verbs.fit(asked({"layers": {"keep": 2}}, export=[]), tmp_path)
    assert "train: nothing has changed, skipped" in caplog.messages
    assert "compress: layers" in caplog.messages
    caplog.clear()
    verbs.fit(asked(export=[]), tmp_path)
    assert "train" in caplog.messages


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The last line of a command that ends with exit code 2 and no traceback."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("compress=[{magnitude: {sparsity: 1}}]", "less than 1"),
        ("compress=[{heads: {kep: 0.5}}]", "Did you mean 'keep'"),
        ("compress=[prune]", "unknown compressor 'prune'"),
    ],
)
def test_what_cannot_be_compressed_is_one_line(
    given: str, said: str, recipe_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(["fit", str(recipe_file()), given, "-o", str(tmp_path / "run")], capsys)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("heads: {keep: 0.1}", "compress.heads.keep: 0.1 of 2 leaves a layer with none. Write at least 0.500"),
        ("feed_forward: {keep: 0.001}", "compress.feed_forward.keep: 0.001 of 64 leaves a layer with none. Write at least 0.016"),
        ("layers: {keep: 5}", "compress.layers.keep: 5 of 2 blocks. Write at most 2"),
        ("layers: {keep: [1, 1]}", "compress.layers.keep: two numbers for BertForSequenceClassification"),
        ("low_rank: {keep: 0.5}}, {heads: {keep: 0.5}", "compress.heads: low_rank stands before it"),
        ("low_rank: {keep: 0.5}}, {layers: {keep: 1}}, {low_rank: {keep: 0.5}", "compress.low_rank: low_rank stands before it"),
    ],
)
def test_what_the_model_lacks_is_said_before_it_is_trained(
    given: str, said: str, recipe_file: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(["fit", str(recipe_file()), f"compress=[{{{given}}}]", "-o", str(tmp_path / "run")], capsys)
    assert not list((tmp_path / "run").glob("trained*")) and not list((tmp_path / "run").rglob("*.safetensors"))


def test_each_layer_keeps_a_head_where_the_model_chooses(asked: Asked, tmp_path: Path) -> None:
    run = verbs.fit(asked({"heads": {"keep": 0.1, "scope": "global"}}, export=[]), tmp_path)
    assert load_trained(run.model).config.to_dict()["layer_shapes"]


def test_zeros_that_give_no_speed_are_said_to_give_none() -> None:
    step = {"parameters": 10, "in_blocks": 10, "zeros": 0, "mb": 4.0, "zipped_mb": 4.0, "ms": 5.0, "trained_ms": 5.0}
    found = {
        "steps": [{**step, "name": "trained"}, {**step, "name": "magnitude", "zeros": 5, "zipped_mb": 2.0, "ms": 4.9}],
        "zeros": {"a": 0.5},
    }
    said = sentences(found)
    assert (
        said[0] == "The zeros give no speed here (5.0 ms before, 4.9 ms now); zipped, the weights are 1/2.00 of what they were."
    )
    found["steps"][0]["ms"] = 2.5  # type: ignore[index]  # of another minute
    assert "no speed" in sentences(found)[0]
    found["steps"][1]["ms"] = 2.5  # type: ignore[index]
    assert "1/2.00 of the time" in sentences(found)[0]
    assert sentences({**found, "zeros": {}}) == []
    for each in found["steps"]:  # as runs of before have them
        del each["trained_ms"]  # type: ignore[attr-defined]
    assert "(2.5 ms before, 2.5 ms now)" in sentences(found)[0]
    assert [row[-1] for row in compression(found)[1]] == ["2.5", "2.5"]
