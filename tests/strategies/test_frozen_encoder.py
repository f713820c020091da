"""frozen_encoder: the decoder of a T5 alone learns, and its encoder is run once."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from hfrecipes import feature_store, verbs
from hfrecipes.config import build
from hfrecipes.recipe import Recipe
from tests.conftest import write_lines
from tests.tasks.test_contract import rows_of


def test_the_decoder_learns_alone_and_what_the_encoder_says_is_stored(
    tiny_t5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(feature_store.WHERE, str(tmp_path / "features"))
    write_lines(tmp_path / "data" / "train.jsonl", [dict(row) for row in rows_of("translation", 24)])
    recipe = build(
        Recipe,
        {
            "recipe": "t5",
            "task": {"translation": {"max_target_length": 8}},
            "data": str(tmp_path / "data"),
            "model": {"path": str(tiny_t5), "layers": [2, 1]},
            "strategy": "frozen_encoder",
            "train": {"learning_rate": 0.01, "num_train_epochs": 1, "per_device_train_batch_size": 4, "bf16": False},
        },
    )
    run = verbs.fit(recipe, tmp_path / "run")
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_t5, run.model))
    changed = {name for name, weight in after.items() if not (weight == before[name]).all()}
    assert changed
    assert all(name.startswith("decoder.block.0.") or "final_layer_norm" in name for name in changed)
    assert not any(name.startswith("decoder.block.1.") for name in after)
    [(_, size, _)] = feature_store.sizes(tmp_path / "features")
    assert size > 0
