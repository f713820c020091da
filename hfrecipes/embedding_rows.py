"""Embedding rows: of the word embeddings only the rows of tokens that the training rows have take part in a training.

The others have no gradient, and a step without weight decay leaves them as they are; yet their gradient is filled with zeros, its
norm taken, and each of them read and written by the optimizer. In MiniLM they are half of all weights, in a multilingual model
nine tenths. What is trained is the same, but for the order in which a norm is summed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.optim import Optimizer

MOST = 0.5
"""The share of all rows up to which it is worth it."""
KNOWN = ("transformers", "hfrecipes")
"""Packages whose models read their word embeddings through the module alone."""
BY_ENTRY = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad")
"""PyTorch's optimizers in which the step of a weight goes by its own gradients alone, and is none where those are zero."""


class Rows(nn.Module):
    """An embedding whose `weight` has the rows of `tokens` alone, in evaluation that of all. To a checkpoint it is whole."""

    def __init__(self, whole: nn.Embedding, tokens: Tensor) -> None:
        super().__init__()
        places = torch.full((whole.num_embeddings,), -1)
        places[tokens] = torch.arange(len(tokens))
        self.tokens, self._places, self._table = tokens, places, whole.weight.detach()
        padding = None if whole.padding_idx is None else int(places[whole.padding_idx])
        self.padding_idx = None if padding == -1 else padding
        self.weight = nn.Parameter(self._table[tokens])

    def forward(self, ids: Tensor) -> Tensor:
        """The vectors of tokens: (rows, tokens, units)."""
        if self._places.device != ids.device:
            self._places, self._table = self._places.to(ids.device), self._table.to(ids.device)
        places = self._places[ids]
        if self.training and torch.is_grad_enabled():
            return nn.functional.embedding(places, self.weight, self.padding_idx)
        found = nn.functional.embedding(places.clamp(min=0), self.weight)
        return torch.where((places < 0)[..., None], self._table[ids], found)

    def table(self) -> Tensor:
        """The weights of all rows."""
        table = self._table.to(self.weight.device, copy=True)
        table[self.tokens.to(table.device)] = self.weight.detach()
        return table

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.table()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        if (given := state_dict.get(prefix + "weight")) is not None and given.shape == self._table.shape:
            self._table = given.detach().to(self._table)
            state_dict[prefix + "weight"] = self._table[self.tokens.to(self._table.device)]
        super()._load_from_state_dict(state_dict, prefix, *rest)


class EmbeddingRows(TrainerCallback):
    """A model's word embeddings with the rows of `tokens` alone, in the model and in its optimizer, until a training ends."""

    def __init__(self, model: Any, optimizer: Optimizer, tokens: Tensor) -> None:
        self.model, self.whole = model, model.get_input_embeddings()
        self.rows = Rows(self.whole, tokens)
        name = next(name for name, module in model.named_modules() if module is self.whole)
        parent, _, self.name = name.rpartition(".")
        self.parent = model.get_submodule(parent)
        setattr(self.parent, self.name, self.rows)
        for group in optimizer.param_groups:
            group["params"] = [self.rows.weight if weight is self.whole.weight else weight for weight in group["params"]]

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.end()

    def end(self) -> None:
        """Give the model all rows back."""
        if self.model.get_input_embeddings() is self.rows:
            self.whole.weight.data = self.rows.table()
            setattr(self.parent, self.name, self.whole)


def possible(model: Any, optimizer: Optimizer) -> bool:
    """Whether the word embeddings of a model are an embedding as PyTorch has it, which nothing else reads (code of others may),
    and whether rows that no batch has stay as they are."""
    if (
        type(model).__module__.partition(".")[0] not in KNOWN
        or model.config.is_encoder_decoder
        or model.get_output_embeddings() is not None
    ):
        return False
    table = model.get_input_embeddings()
    plain = type(table) is nn.Embedding and table.max_norm is None and not (table.scale_grad_by_freq or table.sparse)
    if not plain or "forward" in vars(table) or table._forward_hooks or table._forward_pre_hooks:
        return False
    readers = sum(weight is table.weight for _, weight in model.named_parameters(remove_duplicate=False))
    groups = [group for group in optimizer.param_groups if any(weight is table.weight for weight in group["params"])]
    ours = type(optimizer).__module__.startswith("torch.optim") and type(optimizer).__name__ in BY_ENTRY
    return readers == 1 and ours and len(groups) == 1 and not groups[0].get("weight_decay") and not groups[0].get("maximize")


def occurring(rows: Any, besides: Iterable[int]) -> Tensor:
    """The tokens of rows (a data set with `input_ids`), and some besides, in rising order."""
    import numpy as np

    found = {int(token) for token in besides}
    for part in rows.with_format("arrow").iter(10_000):
        found.update(np.unique(part["input_ids"].combine_chunks().flatten().to_numpy(zero_copy_only=False)).tolist())
    return torch.tensor(sorted(found))
