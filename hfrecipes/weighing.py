"""Weighing: whether a checkpoint can be what its configuration says, before memory is taken for it and after."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfrecipes.edge import explained
from hfrecipes.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

MORE, BESIDE = 16, 64 << 20
"""A model may take so many times the bytes of its weights, and so many beside: for weights in few bits, and new heads."""
CANNOT, CHECK = "cannot load {}", "Check the name, or give a folder"


def check_size(kind: Any, config: PreTrainedConfig, folder: Path, label: str) -> None:
    """Refuse a configuration of a model far larger than the weights beside it."""
    import torch

    held = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    with explained("model", CANNOT.format(label), CHECK), torch.device("meta"):
        wanted = sum(weight.numel() * 4 for weight in kind.from_config(config).parameters())
    if wanted > MORE * held + BESIDE:
        what = f"config.json of {label} describes a model of {wanted / 1e6:.0f} MB, and its weights have {held / 1e6:.0f} MB"
        raise ModelError("model", what, "Write the sizes that the model has")


def check_numbers(model: PreTrainedModel, label: str) -> None:
    """Refuse weights that are not finite."""
    if name := not_finite(model.named_parameters()):
        raise ModelError("model", f"the weight {name} of {label} is not finite", "Take a checkpoint from before that happened")


def not_finite(weights: Iterable[tuple[str, Tensor]]) -> str | None:
    """The name of the first weight with a number that is none."""
    return next((name for name, weight in weights if weight.is_floating_point() and not weight.isfinite().all()), None)
