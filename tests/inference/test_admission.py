"""Admission: which prompts are read together, and caches that stay right while lines come and go."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hfrecipes.inference.admission import SHARED, Admission, Greedy, groups
from hfrecipes.inference.key_values import Batch, Line, seen, value_of

LONG = np.arange(100, 100 + 2 * SHARED)
PLAIN = Greedy(most=3, least=0, ends=(7,), filler=0, start=0)


def behind(prefix: np.ndarray, *tokens: int) -> np.ndarray:
    """A prompt that opens with a prefix."""
    return np.array([*prefix, *tokens])


def test_prompts_that_open_alike_are_a_group_and_the_others_go_by_length() -> None:
    prompts = [np.array([5, 6, 7]), behind(LONG, 1, 2), np.array([5]), behind(LONG, 3), behind(LONG, 1)]
    found = [(group.length, group.numbers) for group in groups(prompts, share=True)]
    assert found == [(0, [2, 0]), (len(LONG), [4, 1, 3])]
    assert [(group.length, group.numbers) for group in groups(prompts, share=False)] == [(0, [2, 0, 3, 4, 1])]


def test_equal_prompts_leave_a_token_each_to_be_read() -> None:
    [group] = groups([LONG, LONG, LONG], share=True)
    assert (group.length, group.numbers) == (len(LONG) - 1, [0, 1, 2])


@pytest.mark.parametrize("shared", [SHARED - 1, SHARED])
def test_what_is_shared_must_be_long_enough_and_no_shorter_than_what_follows(shared: int) -> None:
    short = [behind(LONG[:shared], 1), behind(LONG[:shared], 2)]
    assert len(groups(short, share=True)) == 1
    assert groups(short, share=True)[0].length == (shared if shared == SHARED else 0)
    rest = range(1000, 1000 + shared + 1)
    assert groups([behind(LONG[:shared], 1), behind(LONG[:shared], *rest)], share=True)[0].length == 0


def batch(*cached: int) -> Batch:
    """Lines with so many positions each, whose caches hold ten times the line's number plus the position."""
    lines = [Line(number=length, tokens=[1], cached=length, source=length) for length in cached]
    width = max(cached)
    growing, fixed = (np.full((len(cached), 1, width, 1), np.nan, np.float32) for _ in range(2))
    for i, length in enumerate(cached):
        growing[i, 0, width - length :, 0] = fixed[i, 0, :length, 0] = 10 * length + np.arange(length)
    return Batch(lines, [value_of(growing)], [value_of(fixed)], width, width)


def right(found: Batch) -> bool:
    """Whether each line has its own caches where they belong."""
    held = []
    for i, line in enumerate(found.lines):
        wanted = 10 * line.number + np.arange(line.cached)
        held.append(seen(found.growing[0])[i, 0, found.width - line.cached :, 0].tolist() == wanted.tolist())
        held.append(seen(found.fixed[0])[i, 0, : line.source, 0].tolist() == wanted.tolist())
    return all(held)


def test_a_line_that_fits_takes_the_place_of_one_that_goes_and_nothing_is_moved() -> None:
    before = batch(3, 5, 4)
    memory = before.growing[0].data_ptr()
    after = before.renewed([0, 1], [(batch(2), 0)])
    assert after.growing[0].data_ptr() == memory
    assert [line.number for line in after.lines] == [3, 5, 2]
    assert right(after)


@pytest.mark.parametrize(("kept", "fresh"), [([0, 1], [9]), ([1], [2, 6]), ([0], []), ([], [2]), ([0, 1], [])])
def test_caches_are_as_wide_as_their_lines_need(kept: list[int], fresh: list[int]) -> None:
    new = batch(*fresh) if fresh else Batch()
    after = batch(3, 5).renewed(kept, [(new, i) for i in range(len(fresh))])
    assert [line.number for line in after.lines] == [*([3, 5][i] for i in kept), *fresh]
    assert after.width == after.breadth == max(line.cached for line in after.lines)
    assert right(after)


def test_lines_that_came_together_stay_where_they_are() -> None:
    new = batch(2, 6)
    assert batch(3, 5).renewed([], [(new, 0), (new, 1)]) is new
    for fresh in ([(new, 1), (new, 0)], [(new, 1)], [(new, 0), (batch(6), 0)]):
        after = batch(3, 5).renewed([], fresh)
        assert after is not new
        assert [line.number for line in after.lines] == [found.lines[i].number for found, i in fresh]
        assert right(after)


def test_width_that_nothing_needs_any_more_is_given_back() -> None:
    after = batch(40, 3, 5).renewed([1, 2], [(batch(2), 0)])
    assert after.width == 5
    assert right(after)


def test_a_line_ends_with_one_of_its_ends_or_when_it_is_full() -> None:
    logits = np.zeros(10, np.float32)
    logits[7] = 2.0
    logits[4] = 1.0
    line = Line(0, unread=deque())
    PLAIN.write(line, logits)
    assert (line.tokens, line.ended) == ([7], True)
    later = Greedy(most=3, least=2, ends=(7,), filler=0, start=0)
    line = Line(0)
    for _ in range(3):
        later.write(line, logits)
    assert (line.tokens, line.ended) == ([4, 4, 7], True)
    assert logits[7] == 2.0


class Reader:
    """A session that notes what it is given to read, and makes logits for token 5 and caches of zeros of it."""

    def __init__(self, *inputs: str) -> None:
        self.inputs, self.read = inputs, list[list[list[int]]]()

    def get_inputs(self) -> list[SimpleNamespace]:
        """What it reads."""
        return [SimpleNamespace(name=name) for name in self.inputs]

    def get_overridable_initializers(self) -> list[SimpleNamespace]:
        """What it reads where it is given: nothing."""
        return []

    def run_with_ort_values(self, names: list[str], given: dict[str, Any]) -> list[Any]:
        """Logits over ten tokens, and caches of all that stands before."""
        ids, width = given["input_ids"].numpy(), given["attention_mask"].shape()[1]
        self.read.append(ids.tolist())
        logits = np.zeros((*ids.shape, 10), np.float32)
        logits[:, -1, 5] = 1
        return [value_of(logits), *(value_of(np.zeros((len(ids), 1, width, 1), np.float32)) for _ in names[1:])]


def test_prompts_of_one_length_are_read_together() -> None:
    prefill, decode = Reader("input_ids", "attention_mask"), Reader("input_ids", "attention_mask", "input.keys")
    found = Admission(prefill, decode, None, PLAIN)([np.array(ids) for ids in ([1, 2], [3, 4, 6], [2, 1], [8, 9, 9])])
    assert prefill.read == [[[1, 2], [2, 1]], [[3, 4, 6], [8, 9, 9]]]
    assert [len(ids) for ids in decode.read] == [4, 4]
    assert found.tolist() == [[5, 5, 5]] * 4
