"""An NVIDIA GPU: what trains on it, stores of its states, what it spends, and graphs that run on it. Run by `pytest -m gpu`."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hfrecipes import Predictor, verbs
from hfrecipes.config import build
from hfrecipes.errors import ModelError
from hfrecipes.folder import Run, read_json
from hfrecipes.inference.devices import gpus
from hfrecipes.inference.engines import starts
from hfrecipes.recipe import Recipe
from hfrecipes.report import Report
from hfrecipes.stages import held_out
from tests import test_features
from tests.conftest import sentiment, write_lines
from tests.contracts import REFUSED, accuracy, every
from tests.tasks.test_contract import rows_of

pytestmark = pytest.mark.gpu
FAMILIES = ("bert", "gpt", "t5")
CUDA = "CUDAExecutionProvider"
TEXTS = [row["text"] for row in sentiment(48, start=300)]
TRAIN = {"learning_rate": 5e-3, "num_train_epochs": 3, "per_device_train_batch_size": 8}
EXTRA = {"qlora": "bitsandbytes"}
"""Packages of strategies that have one of their own."""

graphs = pytest.mark.skipif(not torch.cuda.is_available() or not starts(CUDA), reason=f"ONNX Runtime has no {CUDA} that starts")


@pytest.fixture
def folders(tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path) -> dict[str, Path]:
    return {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}


def recipe(family: str, model: Path, root: Path, task: str = "text-classification", **changes: Any) -> Recipe:
    """A recipe of seconds for a GPU: nothing of what makes it fast is turned off."""
    write_lines(root / "data/train.jsonl", sentiment(96) if task == "text-classification" else rows_of(task, 48))
    write_lines(root / "data/test.jsonl", sentiment(32, start=96) if task == "text-classification" else rows_of(task, 12))
    data = {"path": str(root / "data"), "validation_size": 0.25}
    return build(Recipe, {"recipe": family, "task": task, "data": data, "model": str(model), "train": TRAIN, **changes})


@pytest.mark.parametrize(
    ("strategy", "family"), [pair for pair in itertools.product(every("strategies"), FAMILIES) if pair not in REFUSED]
)
def test_what_was_trained_on_a_gpu_answers_on_the_cpu_as_it_was_measured(
    strategy: str, family: str, folders: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if strategy in EXTRA:
        pytest.importorskip(EXTRA[strategy])
    epochs = 6 if family == "t5" else 4
    asked: Any = {"prompt": {"tokens": 4}} if strategy == "prompt" else strategy
    train = {**TRAIN, "num_train_epochs": epochs, "bf16": False}
    with caplog.at_level("INFO", logger="hfrecipes"):
        run = verbs.fit(recipe(family, folders[family], tmp_path, strategy=asked, train=train), tmp_path / "run")
    assert "device cuda:0" in caplog.text
    measured = Report.load(run.path).values["validation"]
    assert math.isfinite(measured["loss"])
    assert accuracy(run) == pytest.approx(measured["accuracy"], abs=1.01 / 24), "all of 24 rows but one that is near to both"


@pytest.mark.parametrize("strategy", ["feature_extraction", "gradual_unfreezing", "head_then_full"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_from_the_store_gives_the_weights_of_one_without(
    strategy: str, family: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFRECIPES_FEATURES", str(tmp_path / "features"))
    found = {}
    for cached in (True, False):
        asked = {strategy: {"cached": cached}}
        made = test_features.recipe(tmp_path, folders[family], asked, family, num_train_epochs=5 if family == "t5" else 3)
        found[cached] = load_file(verbs.fit(made, tmp_path / f"run_{cached}").model / "model.safetensors")
    assert list((tmp_path / "features").rglob("*.arrow"))
    for name, weight in found[False].items():
        torch.testing.assert_close(found[True][name], weight, atol=1e-5, rtol=1e-4)


def test_the_fast_path_of_a_gpu_is_told_and_nothing_of_the_cpus(tiny_bert: Path, tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level("INFO", logger="hfrecipes"):
        verbs.fit(recipe("bert", tiny_bert, tmp_path), tmp_path / "run")
    [line] = [message for message in caplog.messages if message.startswith("fast path: ")]
    assert {"bf16", "group_by_length", "fused", "attention_kernels"} <= set(line.removeprefix("fast path: ").split(", "))
    assert "packed_rows" not in line and "dropout_masks" not in line


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_learns_from_a_teacher_on_the_gpu(family: str, folders: dict[str, Path], tmp_path: Path) -> None:
    train = {**TRAIN, "learning_rate": 3e-3, "num_train_epochs": 10}
    teacher = verbs.fit(recipe(family, folders[family], tmp_path, train=train), tmp_path / "teacher")
    objective = {"distill": {"teacher": str(teacher.path)}}
    run = verbs.fit(recipe(family, folders[family], tmp_path, train=train, objective=objective), tmp_path / "student")
    losses = [entry["loss"] for entry in read_json(run.model / "history.json") if "loss" in entry]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_pruned_model_recovers_on_the_gpu(tiny_bert: Path, tmp_path: Path) -> None:
    compress = [{"heads": {"keep": 0.5}}, {"magnitude": {"sparsity": 0.5}}, {"recover": {"epochs": 1}}]
    run = verbs.fit(recipe("bert", tiny_bert, tmp_path, compress=compress), tmp_path / "run")
    weights = load_file(run.model / "model.safetensors")
    assert weights["bert.encoder.layer.0.attention.self.query.weight"].shape == (16, 32)
    zeros = weights["bert.encoder.layer.0.intermediate.dense.weight"] == 0
    assert 0.3 < float(zeros.float().mean()) < 0.7, "half of all, and none of them has learned"
    assert accuracy(run) == pytest.approx(Report.load(run.path).values["validation"]["accuracy"], abs=1.01 / 24)


def test_what_a_gpu_spends_is_counted(tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("pynvml")
    run = verbs.fit(recipe("bert", tiny_bert, tmp_path), tmp_path / "run")
    spent = Report.load(run.path).values["energy"]
    assert [joules > 0 for name, joules in spent["joules"].items() if name.startswith("GPU-")] == [True]
    assert torch.cuda.get_device_name(0) in spent["hardware"][0]


def test_two_processes_do_not_share_a_gpu(tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(recipe("bert", tiny_bert, tmp_path).dump()), "utf-8")
    command = [sys.executable, "-m", "hfrecipes", "launch", str(tmp_path / "tiny.yaml"), "-n", "2", "-o", str(tmp_path / "run")]
    one = {**os.environ, "CUDA_VISIBLE_DEVICES": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=one, check=False)
    assert done.returncode != 0
    assert done.stderr.count("error: launch: 2 processes share 1 GPU, and each needs one of its own. Start 1, or write") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def shipped(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was exported for a GPU and for the CPU."""
    root = tmp_path_factory.mktemp("cuda")
    verbs.run(recipe("bert", tiny_bert, root, export=["cuda", {"cpu": {"quantize": None}}], check=["parity"]), root / "run")
    return root / "run"


@graphs
def test_a_graph_in_fp16_runs_on_the_gpu_and_says_the_labels_of_the_checkpoint(shipped: Path) -> None:
    assert read_json(shipped / "bundles/index.json")["default"] == "cuda"
    assert "lacking" not in read_json(shipped / "bundles/cuda/manifest.json")
    plain = [answer.label for answer in Predictor.open(shipped, "pytorch")(TEXTS)]
    for devices in (None, "auto", "cuda", ["cuda:0", "cuda:0"], ["cuda:0", "cpu"]):
        assert [answer.label for answer in Predictor.open(shipped, devices=devices)(TEXTS)] == plain, devices


def test_the_driver_says_how_many_gpus_there_are() -> None:
    assert gpus() == torch.cuda.device_count()


@graphs
def test_a_gpu_that_is_not_there_is_one_line(shipped: Path) -> None:
    with pytest.raises(ModelError, match="CUDAExecutionProvider has no device 99, or not its libraries"):
        Predictor.open(shipped, devices="cuda:99")


@graphs
def test_a_service_needs_no_torch_for_a_gpu(shipped: Path) -> None:
    program = (
        "import sys; from hfrecipes import Predictor; p = Predictor.open(sys.argv[1], devices='cuda:0');"
        "print(p('the film was good').label, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(shipped)], capture_output=True, text=True, check=False)
    assert done.stdout.split()[1:] == ["False"], done.stderr


@graphs
@pytest.mark.parametrize(("family", "task"), [("gpt", "summarization"), ("t5", "translation")])
def test_what_writes_on_a_gpu_writes_as_the_checkpoint(family: str, task: str, folders: dict[str, Path], tmp_path: Path) -> None:
    short = {task: {"max_length": 32, "max_target_length": 8}}
    made = recipe(family, folders[family], tmp_path, task, export=[{"cuda": {"half": False}}], check=[])
    verbs.run(build(Recipe, {**made.dump(), "task": short}), tmp_path / "run")
    sources = [row["source"] for row in held_out(Run.open(tmp_path / "run"), 8)]
    graph, plain = (Predictor.open(tmp_path / "run", name)(sources) for name in (None, "pytorch"))
    assert [answer.text for answer in graph] == [answer.text for answer in plain]
