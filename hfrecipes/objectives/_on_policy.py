"""On policy: a student writes texts of its own, on which it is compared with its teacher."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hfrecipes.tasks import IGNORED

if TYPE_CHECKING:
    from hfrecipes.family import Family


def written(model: Any, family: Family, batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch with what the model writes itself in the place of its texts, drawn from its own chances: behind what is `given` of
    each row, or, with a decoder beside an encoder, to each source."""
    labels, ends = batch["labels"], model.generation_config.eos_token_id
    pad = model.config.pad_token_id or 0
    write = partial(model.generate, do_sample=True, use_cache=True, pad_token_id=pad)
    model.eval()
    try:
        if family.architecture == "encoder-decoder":
            ids = write(batch["input_ids"], attention_mask=batch["attention_mask"], max_new_tokens=labels.shape[1])[:, 1:]
            return {**batch, "labels": ids.masked_fill(_before_the_end(ids, ends) == 0, IGNORED)}
        begun, mask = given(batch)
        ids = write(begun, attention_mask=mask, max_new_tokens=max(1, labels.shape[1] - begun.shape[1]))
    finally:
        model.train()
    new = ids[:, begun.shape[1] :]
    kept = torch.cat([mask, _before_the_end(new, ends)], 1)
    wanted = torch.cat([torch.full_like(begun, IGNORED), new], 1).masked_fill(kept == 0, IGNORED)
    places = (kept.cumsum(1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": kept, "position_ids": places, "labels": wanted}


def given(batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """The tokens that each row of a decoder's batch begins with, padded on the left, and their mask: those without a label, or
    the first half of a row that has labels throughout."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    lengths = mask.sum(1)
    asked = (mask.bool() & batch["labels"].eq(IGNORED)).sum(1)
    counts = torch.where(asked > 0, asked, (lengths + 1) // 2)
    width = int(counts.max())
    places = torch.arange(width, device=ids.device) - (width - counts)[:, None]
    found = ids.gather(1, (places + ids.shape[1] - lengths[:, None]).clamp(0, ids.shape[1] - 1))
    real = (places >= 0).long()
    return found * real, real


def _before_the_end(ids: Tensor, ends: Any) -> Tensor:
    """1 for tokens up to the first that ends a text, 0 behind it."""
    if ends is None:
        return torch.ones_like(ids)
    ended = torch.isin(ids, torch.as_tensor(ends, device=ids.device)).long()
    return (ended.cumsum(1) - ended == 0).long()
