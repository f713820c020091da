"""Lighter: what of the fast path leaves out of a model what a training does not need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hfrecipes.embedding_rows import MOST, EmbeddingRows, occurring, possible
from hfrecipes.first_token import FirstToken
from hfrecipes.packed_rows import PackedRows

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from transformers import TrainerCallback, TrainingArguments


def lighter(
    model: Any, optimizer: Optimizer, options: TrainingArguments, wanted: Sequence[str], rows: Any, pad: int, plain_calls: bool
) -> list[TrainerCallback]:
    """The callbacks of a training for what is `wanted`, where nothing cuts a model in parts, compiles it or runs a block again.
    `rows` are those that are read as they are, None where what is read is not known before; `plain_calls`: a step
    calls the whole model and reads its answers alone."""
    if options.activation_checkpointing or options.torch_compile or options.fsdp or options.deepspeed:
        return []
    found: list[TrainerCallback] = [FirstToken(model)] if "first_token" in wanted else []
    if "packed_rows" in wanted and plain_calls and options.device.type == "cpu":
        found.append(PackedRows(model))
    noise = options.neftune_noise_alpha is not None  # which the Trainer takes off the embeddings behind a training's end
    if "embedding_rows" in wanted and rows is not None and not noise and possible(model, optimizer):
        tokens = occurring(rows, [pad])
        if len(tokens) <= MOST * model.get_input_embeddings().num_embeddings:
            found.append(EmbeddingRows(model, optimizer, tokens))
    return found


def in_effect(callbacks: Iterable[TrainerCallback]) -> list[str]:
    """What the callbacks of a training leave out."""
    callbacks = list(callbacks)
    first = first_token(callbacks) is not None
    rows = any(isinstance(each, EmbeddingRows) for each in callbacks)
    packed = any(isinstance(each, PackedRows) and each.possible for each in callbacks)
    return [name for name, on in (("first_token", first), ("embedding_rows", rows), ("packed_rows", packed)) if on]


def first_token(callbacks: Iterable[TrainerCallback]) -> FirstToken | None:
    """The callback that has the head read the first token alone, where that is possible."""
    return next((each for each in callbacks if isinstance(each, FirstToken) and each.possible), None)
