"""Models in shards: whole again they are what they were."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from torch import nn

from hfrecipes.sharding import sharded

SHARDING = """
import sys
import torch
from safetensors.torch import save_file
from torch.distributed import barrier, destroy_process_group, init_process_group
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForSequenceClassification
from hfrecipes.distributed import is_main
from hfrecipes.sharding import sharded, whole

init_process_group("gloo")
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1])
mesh = init_device_mesh("cpu", (2,))
for layer in model.bert.encoder.layer:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
assert sharded(model)
held = sum(weight.to_local().numel() for weight in model.parameters())
weights = whole(model)
if is_main():
    assert held < 0.6 * sum(weight.numel() for weight in weights.values())
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, sys.argv[2])
else:
    assert not weights
barrier()
destroy_process_group()
"""


def test_shards_of_two_processes_are_saved_as_the_whole_model(tiny_bert: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "program.py").write_text(SHARDING, "utf-8")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(tmp_path / "program.py"),
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "model"), str(tmp_path / "whole.safetensors")],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    save_file(dict(load_file(tmp_path / "model/model.safetensors")), tmp_path / "before.safetensors")
    assert (tmp_path / "whole.safetensors").read_bytes() == (tmp_path / "before.safetensors").read_bytes()


def test_a_plain_model_is_not_in_shards() -> None:
    assert not sharded(nn.Linear(2, 2))


@pytest.mark.parametrize(("variable", "what"), [("ACCELERATE_USE_FSDP", "FSDP"), ("ACCELERATE_USE_DEEPSPEED", "DeepSpeed")])
def test_shards_without_a_gpu_are_refused(variable: str, what: str, recipe_file: Callable[..., Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hfrecipes", "fit", str(recipe_file()), "-o", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, variable: "true"}, check=False)
    assert done.returncode == 2 and f"error: launch: {what} needs GPUs, and there is none here. Write: hfrecipes" in done.stderr
    assert not (tmp_path / "run").exists()
