"""Admission: greedy writing over the graphs of a bundle in a batch that stays full.

Rows that have ended leave their places to those that wait, instead of being computed until the longest row ends. Prompts of one
length are read together. What prompts share at the beginning is read once; the rest of them is read in the steps in which other
rows are written. Caches stay where ONNX Runtime made them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hfrecipes.inference.key_values import Batch, Line, seen, value_of
from hfrecipes.inference.planning import plan
from hfrecipes.targets import FIXED, KEEP

ROWS = 32
"""Rows of a full batch. A token of an int8 SmolLM2-135M takes 12 ms alone, 2.5 ms among 8, 1.6 ms among 32."""
SLOTS = 16_384
"""Positions that the caches of a batch may hold over all its rows; one row always fits."""
SHARED = 16
"""Tokens that prompts must share at the beginning to be read once for all."""
PART = 4
"""Rows are let in and out when every fourth place is free: each time the caches are moved."""


@dataclass(frozen=True)
class Greedy:
    """How rows are written: at most `most` tokens, up to one of `ends` that comes after `least` tokens. `filler` stands behind
    the end of a row; `start` is the first token of a decoder behind an encoder."""

    most: int
    least: int
    ends: tuple[int, ...]
    filler: int
    start: int

    def write(self, line: Line, logits: np.ndarray) -> None:
        """Add the next token to a line, from logits of shape (vocabulary,)."""
        barred = list(self.ends) if len(line.tokens) < self.least else []
        before = logits[barred]
        logits[barred] = -np.inf
        line.tokens.append(int(logits.argmax()))
        logits[barred] = before
        line.ended = len(line.tokens) >= self.most or line.tokens[-1] in self.ends


@dataclass
class Group:
    """Prompts, by their numbers, that share their first `length` tokens, and the batch of one line that has read those."""

    length: int
    numbers: list[int]
    opened: Batch = field(default_factory=Batch)


class Admission:
    """Writes greedily with sessions of ONNX Runtime on a CPU: `prefill` reads a prompt, or the first token behind what `encoder`
    made of a source; `decode` goes on from caches."""

    def __init__(self, prefill: Any, decode: Any, encoder: Any, how: Greedy) -> None:
        self.prefill, self.decode, self.encoder, self.how = prefill, decode, encoder, how
        inputs = [entry.name for entry in decode.get_inputs()]
        names = [name.removeprefix("input.") for name in inputs if name.startswith("input.")]
        self.fixed = [name for name in names if "cross_attention" in name]
        self.growing = [name for name in names if name not in self.fixed]

    def __call__(self, prompts: Sequence[np.ndarray]) -> np.ndarray:
        """The new tokens of each prompt (its token ids), shape (prompts, longest)."""
        rows = min(ROWS, max(1, SLOTS // (max(map(len, prompts)) + self.how.most)))
        waiting = deque(groups(prompts, share=self.encoder is None))
        batch, lines = Batch(), [Line(number) for number in range(len(prompts))]
        while waiting or any(not line.ended for line in batch.lines):
            kept = [i for i, line in enumerate(batch.lines) if not line.ended]
            free, gone = rows - len(kept), len(batch.lines) - len(kept)
            if waiting and (not kept or free * PART >= rows):
                fresh = self._admitted(waiting, prompts, lines, free)
                batch = batch.renewed(kept, fresh) if kept or fresh else Batch()
            elif gone and not waiting and gone * PART >= len(batch.lines):
                batch = batch.renewed(kept, [])
            if batch.lines:
                self._step(batch)
        found = np.full((len(lines), max(len(line.tokens) for line in lines)), self.how.filler, np.int64)
        for place, line in zip(found, lines, strict=True):
            place[: len(line.tokens)] = line.tokens
        return found

    def _admitted(
        self, waiting: deque[Group], prompts: Sequence[np.ndarray], lines: Sequence[Line], free: int
    ) -> list[tuple[Batch, int]]:
        """The next lines that have not ended with their first token, at most `free`, each with where its caches are."""
        found: list[tuple[Batch, int]] = []
        while waiting and len(found) < free:
            group = waiting[0]
            taken = group.numbers[: free - len(found)]
            del group.numbers[: len(taken)]
            if not group.numbers:
                waiting.popleft()
            if self.encoder is not None:
                batch = self._paired([lines[i] for i in taken], [prompts[i] for i in taken])
                found += [(batch, place) for place, line in enumerate(batch.lines) if not line.ended]
            elif group.length:
                if not group.opened.lines:
                    group.opened = self._opened([Line(-1)], [prompts[taken[0]][: group.length]])
                for i in taken:
                    lines[i].cached, lines[i].unread = group.length, deque(prompts[i][group.length :].tolist())
                    found.append((Batch([lines[i]], group.opened.growing, [], group.length), 0))
            else:
                for some in plan([len(prompts[i]) for i in taken], equal=True):
                    batch = self._opened([lines[taken[i]] for i in some], [prompts[taken[i]] for i in some])
                    found += [(batch, place) for place, line in enumerate(batch.lines) if not line.ended]
        return found

    def _step(self, batch: Batch) -> None:
        """Read or write a token of each line."""
        cached = np.array([[line.cached] for line in batch.lines])
        given = {f"input.{name}": value for name, value in zip(self.growing, batch.growing, strict=True)}
        given |= {f"input.{name}": value for name, value in zip(self.fixed, batch.fixed, strict=True)}
        ids = value_of(np.array([[line.unread.popleft() if line.unread else line.tokens[-1]] for line in batch.lines]))
        mask = value_of((np.arange(batch.width + 1) >= batch.width - cached).astype(np.int64))
        if self.encoder is None:
            given |= {"input_ids": ids, "attention_mask": mask, "position_ids": value_of(cached)}
        else:
            sources = np.array([[line.source] for line in batch.lines])
            given |= {"decoder_input_ids": ids, "decoder_attention_mask": mask}
            given["attention_mask"] = value_of((np.arange(batch.breadth) < sources).astype(np.int64))
            given[FIXED] = value_of(np.zeros(1, np.int64))
            # What the encoder read is in the fixed caches.
            given["encoder_outputs.last_hidden_state"] = value_of(np.zeros((len(batch.lines), 1, 1), np.float32))
        logits, *batch.growing = run(self.decode, ["logits", *(f"output.{name}" for name in self.growing)], given)
        batch.width += 1
        for line, row in zip(batch.lines, seen(logits)[:, -1], strict=True):
            if not line.ended:
                line.cached += 1
                if not line.unread:
                    self.how.write(line, row)

    def _opened(self, lines: list[Line], prompts: Sequence[np.ndarray]) -> Batch:
        """Lines of a decoder that have read prompts of one length and written their first tokens."""
        ids = np.stack(prompts)
        places = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": places, KEEP: np.ones(1, np.int64)}
        names = ["logits", *self.growing]
        logits, *growing = run(self.prefill, names, {name: value_of(each) for name, each in given.items()})
        for line, row in zip(lines, seen(logits)[:, -1], strict=True):
            line.cached = ids.shape[1]
            self.how.write(line, row)
        return Batch(lines, growing, [], ids.shape[1])

    def _paired(self, lines: list[Line], prompts: Sequence[np.ndarray]) -> Batch:
        """Lines of a decoder that have written their first tokens behind what an encoder read."""
        ids, mask = np.zeros((2, len(prompts), max(map(len, prompts))), np.int64)
        for i, (line, prompt) in enumerate(zip(lines, prompts, strict=True)):
            ids[i, : len(prompt)], mask[i, : len(prompt)] = prompt, 1
            line.cached, line.source = 1, len(prompt)
        given = {"input_ids": value_of(ids), "attention_mask": value_of(mask)}
        [states] = run(self.encoder, ["last_hidden_state"], given)
        given |= {"encoder_outputs.last_hidden_state": states, "decoder_attention_mask": value_of(np.ones_like(ids[:, :1]))}
        given["decoder_input_ids"] = value_of(np.full_like(ids[:, :1], self.how.start))
        logits, *caches = run(self.prefill, ["logits", *self.growing, *self.fixed], given)
        for line, row in zip(lines, seen(logits)[:, -1], strict=True):
            self.how.write(line, row)
        return Batch(lines, caches[: len(self.growing)], caches[len(self.growing) :], 1, ids.shape[1])


def groups(prompts: Sequence[np.ndarray], share: bool) -> list[Group]:
    """The prompts in groups: the others, short ones first, and those that `share` `SHARED` tokens or more at the beginning, where
    that is no less than what follows."""
    found: list[Group] = []
    for number in sorted(range(len(prompts)), key=lambda i: prompts[i].tolist()) if share else []:
        prompt = prompts[number]
        if found:
            last = found[-1]
            length = common(prompts[last.numbers[-1]][: last.length], prompt[:-1])
            if length >= SHARED and 2 * length >= max(len(prompt), *(len(prompts[i]) for i in last.numbers)):
                last.length = length
                last.numbers.append(number)
                continue
        found.append(Group(len(prompt) - 1, [number]))
    several = [group for group in found if len(group.numbers) > 1]
    inside = {i for group in several for i in group.numbers}
    alone = sorted((i for i in range(len(prompts)) if i not in inside), key=lambda i: len(prompts[i]))
    return [*([Group(0, alone)] if alone else []), *several]


def common(one: np.ndarray, other: np.ndarray) -> int:
    """How many tokens two rows share at the beginning."""
    most = min(len(one), len(other))
    apart = np.flatnonzero(one[:most] != other[:most])
    return int(apart[0]) if len(apart) else most


def fits(prefill: Any, decode: Any, paired: bool) -> bool:
    """Whether sessions can write here: on a CPU, with fp32 caches, and rows that may have begun at different times."""
    inputs = {entry.name: entry.type for entry in decode.get_inputs()}
    local = all(session.get_providers()[0] == "CPUExecutionProvider" for session in (prefill, decode))
    caches = {kind for name, kind in inputs.items() if name.startswith("input.")}
    return local and caches == {"tensor(float)"} and ("decoder_attention_mask" if paired else "attention_mask") in inputs


def run(session: Any, names: Sequence[str], given: dict[str, Any]) -> list[Any]:
    """Outputs of a session by their names, where it made them, from those values that it reads."""
    wanted = {entry.name for entry in (*session.get_inputs(), *session.get_overridable_initializers())}
    return list(session.run_with_ort_values(names, {name: each for name, each in given.items() if name in wanted}))
