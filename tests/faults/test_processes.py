"""One process and two end with the same weights, since a step has the same rows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from hfrecipes import verbs
from hfrecipes.config import to_yaml
from tests.faults.trainings import ALL, Prepared

DROPOUT = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "gpt": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "t5": {"dropout_rate": 0.0},
}
CASES = [("gpt", False), *([("bert", False), ("t5", False), ("bert", True)] if ALL else [])]


@pytest.mark.parametrize(("family", "taught"), CASES)
def test_to_a_ten_thousandth(family: str, taught: bool, tiny_bert: Path, tiny_gpt: Path, tiny_t5: Path, tmp_path: Path) -> None:
    model = {"bert": tiny_bert, "gpt": tiny_gpt, "t5": tiny_t5}[family]
    parts: dict[str, Any] = {}
    if taught:
        teacher = Prepared.of(family, model, tmp_path, {"num_train_epochs": 1})
        parts["objective"] = {"distill": {"teacher": str(verbs.learn(teacher.recipe, teacher.run).model)}}
    made = {"num_train_epochs": 1, "save_strategy": "no", "per_device_train_batch_size": 8}
    prepared = Prepared.of(family, {"path": str(model), "config": DROPOUT[family]}, tmp_path / "rows", made, **parts)
    one = prepared.begin(tmp_path / "one")
    prepared.learn(one)
    recipe = prepared.recipe.dump()
    recipe["train"]["per_device_train_batch_size"] = 4
    (tmp_path / "recipe.yaml").write_text(to_yaml(recipe), "utf-8")
    verb = ["-m", "hfrecipes", "fit", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "two")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *verb]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HFRECIPES_FEATURES": str(tmp_path / "features")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and "2 processes" in done.stderr, done.stderr
    ours, theirs = (load_file(tmp_path / name / "model/model.safetensors") for name in ("two", "one"))
    apart = {name: float((ours[name] - theirs[name]).abs().max()) for name in theirs}
    assert all(gap < 1e-4 for gap in apart.values()), max(apart.items(), key=lambda pair: pair[1])
    assert ours.keys() == theirs.keys()
