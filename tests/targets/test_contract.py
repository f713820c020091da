"""What every target must do: its graphs answer as the checkpoint."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hfrecipes import Predictor, verbs
from hfrecipes.checkpoint import load_trained
from hfrecipes.config import to_yaml
from hfrecipes.errors import CheckFailed, ModelError, RecipeError, RunError
from hfrecipes.folder import Run, opened, read_json, sha256
from hfrecipes.locking import LOCK
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.stages import export as stage_of_export
from hfrecipes.stages.export import batches
from hfrecipes.stages.export import export as stages_export
from hfrecipes.targets import Graph
from hfrecipes.targets.cpu import Cpu
from hfrecipes.targets.cuda import Cuda
from tests.conftest import sentiment
from tests.contracts import every, make

OPTIONS = {"cascade": {"first": "runs/first", "confidence": 0.9}}
"""What a target cannot do without."""
HERE = [name for name in every("targets") if make("targets", name, OPTIONS).lacking() is None]
"""The targets that this machine can serve."""
TEXTS = [row["text"] for row in sentiment(24, start=200)]


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with a bundle for every target there is."""
    run = Path(shutil.copytree(finished, tmp_path_factory.mktemp("all") / "run"))
    options = {**OPTIONS, "cascade": {"first": str(finished), "confidence": 0.9}}
    asked = [{name: options.get(name, {})} for name in every("targets")]
    stages_export(Recipe.load(run / "recipe.yaml", [f"export={json.dumps(asked)}"]), Run.open(run))
    return run


def test_every_target_has_a_bundle_and_the_first_that_runs_here_is_served(exported: Path) -> None:
    bundles = sorted(folder.name for folder in (exported / "bundles").iterdir() if folder.is_dir())
    assert bundles == every("targets") and "cpu" in HERE
    assert read_json(exported / "bundles/index.json") == {"default": HERE[0], "targets": every("targets")}


@pytest.mark.parametrize("target", [name for name in every("targets") if name not in HERE])
def test_what_this_machine_cannot_run_is_examined_and_says_what_is_lacking(target: str, exported: Path) -> None:
    manifest = opened(exported / "bundles" / target)
    assert manifest["lacking"] == make("targets", target).lacking()
    assert list(manifest["examined"]) == list(manifest["graphs"])
    limit = {"float32": 1e-4, "float16": 0.01}
    for name, apart in manifest["examined"].items():
        assert apart < limit.get(manifest["graphs"][name]["precision"], 0.1), name
    if manifest["lacking"].startswith("the provider"):
        with pytest.raises(ModelError, match=r"needs the provider \w+\. This machine has: .*CPUExecutionProvider"):
            Predictor.open(exported, f"{target}/{manifest['default']}")


def test_a_run_with_nothing_for_this_machine_is_not_released(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = next(name for name in every("targets") if name not in HERE)
    run = Path(shutil.copytree(exported, tmp_path / "run"))
    recipe = Recipe.load(run / "recipe.yaml", [f"export=[{elsewhere}]"])
    (run / "recipe.yaml").write_text(to_yaml(recipe.dump()), "utf-8")
    with caplog.at_level("INFO", logger="hfrecipes"), pytest.raises(CheckFailed, match="no bundle runs on this machine"):
        verbs.ship(Run.open(run))
    assert f"{elsewhere}: this machine lacks" in caplog.text
    assert f"`{elsewhere}` was exported and is valid ONNX; it was not timed" in (run / "report.md").read_text("utf-8")
    assert Report.load(run).scores == Report.load(run).frontier[0].scores


def test_a_model_that_writes_is_exported_in_half_precision(tiny_gpt: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    sample = {"input_ids": np.array([[4, 5, 6, 7], [5, 6, 7, 8]]), "attention_mask": np.ones((2, 4), np.int64)}
    graphs = Cuda().export(AutoModelForCausalLM.from_pretrained(tiny_gpt).eval(), [sample], tmp_path)
    assert graphs == {"fp16": Graph("onnx/fp16", "float16", batch_dependent=False)}
    assert {file.name for file in (tmp_path / "onnx/fp16").glob("*.onnx")} == {"prefill.onnx", "decode.onnx"}


@pytest.mark.parametrize("target", every("targets"))
@pytest.mark.parametrize("opset", [9, 99])
def test_an_opset_that_would_be_ignored_is_refused(target: str, opset: int, finished: Path) -> None:
    with pytest.raises(RecipeError, match=rf"export\.0\.{target}\.opset: should be (greater|less) than or equal to"):
        asked = [{target: {**OPTIONS.get(target, {}), "opset": opset}}]
        Recipe.load(finished / "recipe.yaml", [f"export={json.dumps(asked)}"])


def test_the_opset_is_that_of_the_graph(finished: Path, tmp_path: Path) -> None:
    import onnx

    model = load_trained(finished / "model").eval()
    Cpu(quantize=None, opset=18).export(model, batches(Run.open(finished)), tmp_path)
    assert [entry.version for entry in onnx.load(tmp_path / "onnx/model.onnx").opset_import if entry.domain == ""] == [18]


def test_a_full_disk_in_the_middle_of_an_export_is_one_line_and_nothing_is_lost(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx_ir

    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = sha256(run / "bundles/cpu/manifest.json")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    recipe = Recipe.load(run / "recipe.yaml", ["export=[{cpu: {opset: 19}}]"])
    with monkeypatch.context() as patched, pytest.raises(RunError) as refused:
        patched.setattr(onnx_ir, "save", full)
        stages_export(recipe, Run.open(run))
    assert "the disk is full in the middle of export. Make room and run it again" in str(refused.value)
    assert sha256(run / "bundles/cpu/manifest.json") == before
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [LOCK]
    stages_export(recipe, Run.open(run))
    assert Predictor.open(run)("the film was good").label == "positive"


def test_ranges_from_a_single_row_are_warned_of(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    some = batches(Run.open(run))[:1]
    one = [{name: array[:1].repeat(2, axis=0) for name, array in batch.items()} for batch in some]
    monkeypatch.setattr(stage_of_export, "batches", lambda run: one)
    stages_export(Recipe.load(run / "recipe.yaml", ["export=[{cpu: {quantize: static}}]"]), Run.open(run))
    assert "cpu: the ranges of static int8 come from 2 rows; 32 or more make them reliable" in caplog.text
    assert Predictor.open(run)("the film was good").label in ("positive", "negative")


def test_a_model_that_writes_has_no_static_form(tiny_gpt: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(RecipeError, match=r"export\.quantize: a model that writes has no static form"):
        Cpu(quantize="static").export(AutoModelForCausalLM.from_pretrained(tiny_gpt), [], tmp_path)


@pytest.mark.parametrize("target", HERE)
def test_every_graph_of_a_target_answers_as_its_checkpoint(target: str, exported: Path) -> None:
    graphs = opened(exported / "bundles" / target)["graphs"]
    assert len(graphs) >= 1
    base = Predictor.open(exported, "pytorch")(TEXTS)
    assert len({answer.label for answer in base}) == 2
    for name, graph in graphs.items():
        answers = Predictor.open(exported, f"{target}/{name}")(TEXTS)
        assert [answer.label for answer in answers] == [answer.label for answer in base]
        apart = max(abs(a.scores[label] - b.scores[label]) for a, b in zip(answers, base, strict=True) for label in a.scores)
        assert apart < (1e-4 if graph["precision"] == "float32" else 0.1), name


@pytest.mark.parametrize("target", HERE)
def test_a_bundle_names_its_checkpoint_and_reads_texts_by_itself(target: str, exported: Path) -> None:
    bundle = exported / "bundles" / target
    manifest = opened(bundle)
    assert manifest["checkpoint"] == sha256(exported / "model/model.safetensors")
    assert manifest["default"] in manifest["graphs"]
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "task.json"} <= set(manifest["files"])
    assert Predictor.open(bundle)("the film was good").label in ("negative", "positive")
