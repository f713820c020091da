"""Features: a training whose frozen blocks are computed once, kept in the feature store, and read from there every epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import xxhash
from tqdm import tqdm
from transformers import TrainerCallback

from hfrecipes import feature_store
from hfrecipes.entries import Collate, WithEntries, bring, budgeted, collated, numbers
from hfrecipes.family import depths
from hfrecipes.feature_store import Space
from hfrecipes.first_token import FirstToken
from hfrecipes.prefix import Prefix

if TYPE_CHECKING:
    from hfrecipes.objectives import LossFn

STATES = "states"
"""The entry of a row and of a batch that holds what the frozen blocks made of it."""
WALKS = ("train", "zero_grad", "parameters", "num_parameters")
"""What the Trainer calls at every step and what walks over all modules or all weights."""


class Frozen(TrainerCallback):
    """The frozen bottom of a model in a training: which blocks it has in an epoch, and their output for every row.

    `frozen(epoch)` gives the number of blocks, which never rises; `epochs` of them are foreseen. `bf16` computes and keeps
    16 bits for a number, else 32. `first`: behind the last block nothing but the first token is read, computed and kept.
    """

    def __init__(
        self,
        model: Any,
        frozen: Callable[[int], int],
        epochs: int,
        collate: Collate,
        left: bool,
        bf16: bool,
        first: FirstToken | None = None,
    ) -> None:
        self.prefix, self.frozen, self.collate, self.left, self.bf16 = Prefix(model), frozen, collate, left, bf16
        self.first = first
        self.alone = None if first is None else len(self.prefix.blocks)
        self.model = model
        self.stages = {self.blocks(epoch) for epoch in range(epochs)}
        self.splits: list[WithEntries] = []
        self.spaces: dict[int, Space] = {}
        self.count = -1

    def watch(self, split: WithEntries) -> None:
        """Keep the states of a data set at hand."""
        self.splits.append(split)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.spaces.clear()
        self.begin(int(state.epoch or 0))

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer before it reads the first rows of an epoch."""
        self.begin(int(state.epoch or 0))

    def blocks(self, epoch: int) -> int:
        """How many blocks of those that read the input are frozen in an epoch."""
        return min(self.frozen(epoch), len(self.prefix.blocks))

    def begin(self, epoch: int) -> None:
        """Make the cut of an epoch, and have the states of all rows at hand."""
        count = self.blocks(epoch)
        if count == self.count:
            return
        self.prefix.cut(0)
        stages = sorted(stage for stage in self.stages | {count} if 0 < stage <= count)
        for stage in stages:  # what is frozen stays so: its weights are read once a training
            self.spaces[stage] = self.spaces.get(stage) or self.space(stage)
        for split in self.splits:  # the lower spaces are those of later epochs: one pass computes them all
            split.stored.pop(STATES, None)
            if count:
                found = bring(split, {str(stage): self.spaces[stage] for stage in stages}, self._computed)
                split.stored[STATES] = found[str(count)]
        self.prefix.cut(count)
        self.count = count
        self._lighten(count > 0)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.end()

    def end(self) -> None:
        """Make the model whole again."""
        self.prefix.cut(0)
        self.count = 0
        self._lighten(False)
        for split in self.splits:
            split.stored.pop(STATES, None)

    def _lighten(self, light: bool) -> None:
        """Stand in for methods that walk over the whole model: beside a step over stored states that is half of the time."""
        model = self.model
        for name in WALKS:
            vars(model).pop(name, None)
        if not light:
            return
        whole, count, weights = model.train, cache(model.num_parameters), list(model.parameters())

        def train(mode: bool = True) -> Any:
            return model if model.training == mode else whole(mode)

        def zero_grad(set_to_none: bool = True) -> None:
            for weight in weights:
                weight.grad = None

        for name, stand_in in zip(WALKS, (train, zero_grad, lambda recurse=True: iter(weights), count), strict=True):
            setattr(model, name, stand_in)

    def loss(self, inner: LossFn) -> LossFn:
        """`inner` for batches that may bring states."""

        def loss(model: Any, batch: Mapping[str, Any]) -> Any:
            if STATES not in batch:
                return inner(model, batch)
            with self.prefix.resumed(batch[STATES]):
                return inner(model, {name: tensor for name, tensor in batch.items() if name != STATES})

        return loss

    def batch(self) -> Collate:
        """`collate`, with the states of all rows."""
        return collated(self.collate, [STATES], self.left)

    def space(self, count: int) -> Space:
        """The part of the store for these weights, so many blocks and this precision. SHA-256 would take longer over the weights
        than a head takes to learn."""
        tokens = "first" if count == self.alone else "all"
        digest = xxhash.xxh3_128(f"{self.model.config.model_type} {count} {self.bf16} {tokens}".encode())
        found = depths(self.model)
        for name, weight in self.model.named_parameters():
            if found[name] <= count:
                digest.update(name.encode())
                digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
        width = self.model.config.get_text_config().hidden_size
        return Space(feature_store.home() / digest.hexdigest(), width, "uint16" if self.bf16 else "float32")

    def _computed(self, rows: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The position of a row and its states for each of the numbers of blocks, in one pass over the rows sorted by length."""
        counts = [int(name) for name in names]
        read = set(inspect.signature(self.prefix.body.forward).parameters)
        device = next(self.model.parameters()).device
        lengths = [len(row["input_ids"]) for row in rows]
        alone = nullcontext() if self.first is None else self.first.alone()
        with alone, tqdm(total=len(rows), desc=f"features of {counts[-1]} blocks", disable=None, leave=False) as bar:
            for chosen in budgeted(lengths):
                batch = {n: t.to(device) for n, t in self.collate([rows[i] for i in chosen]).items() if n in read - {"labels"}}
                with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                    found = [numbers(states, self.bf16) for states in self.prefix.states_at(batch, counts)]
                for line, i in enumerate(chosen):
                    here = slice(-lengths[i], None) if self.left else slice(0, lengths[i])
                    parts = [slice(0, 1) if count == self.alone else here for count in counts]
                    yield i, [array[line, part] for array, part in zip(found, parts, strict=True)]
                bar.update(len(chosen))
