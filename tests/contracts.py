"""What the contract tests share: every part of a kind, made with the options that it cannot do without, and tiny inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hfrecipes import Predictor
from hfrecipes.folder import Run
from hfrecipes.part import find, names
from hfrecipes.stages import held_out

ON_GPU = ("qlora",)
"""Strategies that need a GPU; their tests are in test_qlora.py."""
REFUSED = {("bias_only", "t5"): "has no biases"} | {("frozen_encoder", name): "no encoder beside" for name in ("bert", "gpt")}
"""Strategies that a family cannot have, and what is said then."""
IN_FRONT = ("prompt",)
"""Strategies that change what is read; they have tests of their own."""


def every(kind: str) -> list[str]:
    """The name of every part of a kind, for `parametrize`; there is at least one."""
    found = names(kind)
    assert len(found) >= 1, f"no parts of {kind}"
    return found


def strategies() -> list[str]:
    """The name of every strategy that trains on the CPU, on rows that no tokenizer of its own has made."""
    return [name for name in every("strategies") if name not in (*IN_FRONT, *ON_GPU)]


def make(kind: str, name: str, options: Mapping[str, Mapping[str, Any]] | None = None) -> Any:
    """The part of that name, with its own entry of `options`."""
    return find(kind, name).choose({name: dict((options or {}).get(name, {}))})


def classifier(folder: Path) -> Any:
    """The tiny checkpoint with a head of two classes; without dropout, so that it answers the same twice."""
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    return model


def pooled(folder: Path) -> Any:
    """The same with a head that says embeddings."""
    from hfrecipes.models import Model, load_config, load_model

    torch.manual_seed(0)
    entries = {"num_labels": 2, "classifier_head": {"prototype": {}}, "problem_type": "single_label_classification"}
    asked = Model(str(folder), config={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0})
    return load_model(asked, "text-classification", load_config(asked, entries))


def batch(rows: int = 4) -> dict[str, torch.Tensor]:
    """Rows of random tokens of several lengths, with labels."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 30, (rows, 8), generator=generator)
    mask = torch.arange(8)[None, :] < torch.tensor([[8 - i % 4] for i in range(rows)])
    return {
        "input_ids": torch.where(mask, ids, 0),
        "attention_mask": mask.long(),
        "token_type_ids": torch.zeros_like(ids),
        "labels": torch.tensor([i % 2 for i in range(rows)]),
    }


def accuracy(run: Run) -> float:
    """The share of held-out rows whose labels the checkpoint of a run says on the CPU."""
    rows = held_out(run, 1000)
    said = Predictor.open(run.path, "pytorch")([row["text"] for row in rows])
    return sum(answer.label == row["label"] for answer, row in zip(said, rows, strict=True)) / len(rows)


def logits(model: Any) -> torch.Tensor:
    """What a model says about `batch()`, in evaluation."""
    with torch.inference_mode():
        found: torch.Tensor = model.eval()(**batch()).logits
    return found
