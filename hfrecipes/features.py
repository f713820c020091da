"""Features: a training whose frozen blocks are computed once, kept in the feature store, and read from there every epoch."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from tqdm import tqdm
from transformers import TrainerCallback

from hfrecipes import distributed, feature_store
from hfrecipes.family import depths
from hfrecipes.feature_store import Rows, Space
from hfrecipes.prefix import Prefix

if TYPE_CHECKING:
    from hfrecipes.objectives import LossFn

STATES = "states"
"""The entry of a row and of a batch that holds what the frozen blocks made of it."""
BUDGET = 1024
"""Tokens, padding included, that are computed at once: more fall out of the caches, and took 1.3 times as long at 4,096."""
WALKS = ("train", "zero_grad", "parameters", "num_parameters")
"""What the Trainer calls at every step and what walks over all modules or all weights."""
Collate = Callable[[Sequence[Any]], dict[str, torch.Tensor]]


class Frozen(TrainerCallback):
    """The frozen bottom of a model in a training: which blocks it has in an epoch, and their output for every row.

    `frozen(epoch)` gives the number of blocks, which never rises; `epochs` of them are foreseen. `bf16` computes and keeps
    16 bits for a number, else 32.
    """

    def __init__(self, model: Any, frozen: Callable[[int], int], epochs: int, collate: Collate, left: bool, bf16: bool) -> None:
        self.prefix, self.frozen, self.collate, self.left, self.bf16 = Prefix(model), frozen, collate, left, bf16
        self.model = model
        self.stages = {self.blocks(epoch) for epoch in range(epochs)}
        self.splits: list[WithStates] = []
        self.spaces: dict[int, Space] = {}
        self.count = -1

    def watch(self, split: WithStates) -> WithStates:
        """Keep the states of a data set at hand."""
        self.splits.append(split)
        return split

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
        for split in self.splits:
            split.states = self.states(split, {stage: self.spaces[stage] for stage in stages}) if count else None
        self.prefix.cut(count)
        self.count = count
        self._lighten(count > 0)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Make the model whole again."""
        self.prefix.cut(0)
        self.count = 0
        self._lighten(False)
        for split in self.splits:
            split.states = None

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

    def batch(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
        """`collate`, with the states of all rows."""
        rows = items[0] if isinstance(items[0], list) else items
        found = self.collate([{name: entry for name, entry in row.items() if name != STATES} for row in rows])
        if STATES in rows[0]:
            found[STATES] = padded([row[STATES] for row in rows], self.left)
        return found

    def states(self, split: WithStates, spaces: Mapping[int, Space]) -> Rows:
        """The output of the highest number of blocks in `spaces` for every row. What the spaces do not have is computed by the
        main process, in one pass for all of them: the lower ones are those of later epochs."""
        rows, keys = split.single, split.keys

        def compute() -> None:
            absent = {count: set(found) for count, space in spaces.items() if (found := space.missing(keys))}
            if not absent:
                return
            with ExitStack() as stack:
                write = {count: stack.enter_context(spaces[count].writing()) for count in absent}
                every = sorted(set().union(*absent.values()))
                for number, states in self._computed([rows[i] for i in every], list(absent)):
                    row = every[number]
                    for count, array in zip(absent, states, strict=True):
                        if row in absent[count]:
                            write[count](keys[row], array)
            kept = [space.folder for space in spaces.values()]
            feature_store.evict(feature_store.home(), feature_store.limit(), keep=kept)

        distributed.on_main(compute)
        return spaces[max(spaces)].open(keys)

    def space(self, count: int) -> Space:
        """The part of the store for these weights, so many blocks and this precision."""
        digest = hashlib.sha256(f"{self.model.config.model_type} {count} {self.bf16}".encode())
        found = depths(self.model)
        for name, weight in self.model.named_parameters():
            if found[name] <= count:
                digest.update(name.encode())
                digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy())
        width = self.model.config.get_text_config().hidden_size
        return Space(feature_store.home() / digest.hexdigest()[:32], width, "uint16" if self.bf16 else "float32")

    def _computed(self, rows: Sequence[Any], counts: Sequence[int]) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The position of a row and its states for each of the numbers of blocks, in one pass over the rows sorted by length."""
        read = set(inspect.signature(self.prefix.body.forward).parameters)
        device = next(self.model.parameters()).device
        lengths = np.array([len(row["input_ids"]) for row in rows])
        with tqdm(total=len(rows), desc=f"features of {counts[-1]} blocks", disable=None, leave=False) as bar:
            for chosen in _budgeted(lengths):
                batch = {n: t.to(device) for n, t in self.collate([rows[i] for i in chosen]).items() if n in read - {"labels"}}
                with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                    found = [self._numbers(states) for states in self.prefix.states_at(batch, counts)]
                for line, i in enumerate(chosen):
                    here = slice(-lengths[i], None) if self.left else slice(0, lengths[i])
                    yield i, [array[line, here] for array in found]
                bar.update(len(chosen))

    def _numbers(self, states: torch.Tensor) -> np.ndarray:
        """States as they are stored."""
        kept = states.to(torch.bfloat16).view(torch.int16) if self.bf16 else states.float()
        return kept.cpu().numpy().view("uint16" if self.bf16 else "float32")


def padded(rows: Sequence[np.ndarray], left: bool = False) -> torch.Tensor:
    """Rows of the store as one tensor of shape (rows, longest row, units), zeros behind each (or before it): bf16 where they have
    16 bits, else fp32."""
    width = max(map(len, rows))
    out = np.zeros((len(rows), width, rows[0].shape[1]), dtype=rows[0].dtype)
    for line, row in zip(out, rows, strict=True):
        line[slice(width - len(row), None) if left else slice(0, len(row))] = row
    return torch.from_numpy(out.view(np.int16)).view(torch.bfloat16) if out.itemsize == 2 else torch.from_numpy(out)


class WithStates(TorchDataset[Any]):
    """Rows, each with its states while there are any."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.states: Rows | None = None

    @property
    def single(self) -> Any:
        """The rows one by one, whose positions are those of the states."""
        return self.rows

    @cached_property
    def keys(self) -> list[bytes]:
        """The key of each row in the store."""
        return [_key(row) for row in self.single]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> Any:
        row = self.rows[position]
        return row if self.states is None else {**row, STATES: self.states[position]}


class BatchesWithStates(WithStates):
    """Batches of rows, each row with its states while there are any."""

    @property
    def single(self) -> Any:
        return self.rows.rows

    def __getitem__(self, position: int) -> Any:
        batch = self.rows[position]
        if self.states is None:
            return batch
        numbers = self.rows.batches[position]
        return [{**row, STATES: self.states[int(i)]} for row, i in zip(batch, numbers, strict=True)]

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of each epoch."""
        self.rows.set_epoch(epoch)


def _key(row: Mapping[str, Any]) -> bytes:
    names = ("input_ids", "token_type_ids", "attention_mask", "position_ids")
    return feature_store.key_of(*(np.asarray(row[name], dtype=np.int64).tobytes() for name in names if name in row))


def _budgeted(lengths: np.ndarray) -> Iterator[list[int]]:
    """Positions of rows of like length, as many at once as `BUDGET` tokens are."""
    held: list[int] = []
    for i in np.argsort(-lengths, kind="stable").tolist():
        if held and (len(held) + 1) * lengths[held[0]] > BUDGET:
            yield held
            held = []
        held.append(i)
    if held:
        yield held
