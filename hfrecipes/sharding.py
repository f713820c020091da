"""Sharding: models of which each process holds a part (FSDP2, DeepSpeed ZeRO-3), made whole again where they are saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

ASKED = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
"""What a launcher sets."""


def check_shards(environment: Mapping[str, str], gpus: bool) -> None:
    """Refuse shards where there is no GPU: the Trainer would train a whole copy in each process and not say so. Raises
    UserError."""
    for name, what in ASKED.items():
        if environment.get(name, "").lower() in ("1", "true") and not gpus:
            raise UserError("launch", f"{what} needs GPUs, and there is none here", "Write: hfrecipes launch RECIPE -n 2")


def sharded(model: nn.Module) -> bool:
    """Whether this process holds a part of the weights only."""
    return any(type(weight).__name__ == "DTensor" or hasattr(weight, "ds_id") for weight in model.parameters())


def whole(model: nn.Module) -> dict[str, Tensor]:
    """All weights of a sharded model by their plain names, in the memory of the main process; the others get none. Every process
    has to ask."""
    if any(hasattr(weight, "ds_id") for weight in model.parameters()):
        return _from_deepspeed(model)
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    found: dict[str, Any] = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return found


def _from_deepspeed(model: nn.Module) -> dict[str, Tensor]:
    import deepspeed  # type: ignore[import-not-found, unused-ignore]

    from hfrecipes import distributed

    found: dict[str, Any] = {}
    for name, weight in model.named_parameters():
        with deepspeed.zero.GatheredParameters([weight], modifier_rank=0):
            if distributed.is_main():
                found[name] = weight.detach().cpu().clone()
    return found
