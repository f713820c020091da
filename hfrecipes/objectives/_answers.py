"""What objectives share: the answers of a model to a batch, without a loss of its own, and which of them count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.tasks import IGNORED

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from hfrecipes.family import Family

TARGETS = ("labels", "start_positions", "end_positions")
"""What of a batch says the answer."""


def read(model: PreTrainedModel, family: Family, batch: Mapping[str, Any]) -> dict[str, Any]:
    """What a model reads of a batch: all but the targets, which a decoder of its own reads shifted."""
    found = {name: tensor for name, tensor in batch.items() if name not in TARGETS}
    if family.architecture == "encoder-decoder" and model.can_generate():
        found["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=batch["labels"])  # type: ignore[operator]
    return found


def shifts(model: PreTrainedModel, family: Family) -> bool:
    """Whether the answer at a token is to the label of the next one."""
    return family.architecture == "decoder" and model.can_generate()


def counts(batch: Mapping[str, Any], shifted: bool) -> Tensor:
    """How many items of each row count, of shape (rows,): one, or its tokens with a label."""
    labels: Tensor = next(batch[name] for name in TARGETS if name in batch)
    if labels.dim() == 1 or labels.is_floating_point():
        return labels.new_ones(len(labels))
    return (labels[:, 1:] if shifted else labels).ne(IGNORED).sum(-1)
