"""Scaling on paper: the formulas, and the tables that the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from hfrecipes.report import markdown_table
from hfrecipes.scaling import LINKS, Link, efficiency, gradient_bytes, ring_seconds, table

PAGE = Path(__file__).parents[1] / "examples/docs/distributed.md"


def test_a_ring_sends_nearly_everything_twice() -> None:
    link = Link(1e9, 1e-3)
    assert ring_seconds(1e9, 1, link) == 0
    assert ring_seconds(1e9, 2, link) == pytest.approx(1.0 + 2e-3)
    assert ring_seconds(1e9, 8, link) == pytest.approx(1.75 + 14e-3)


def test_what_hides_behind_the_backward_pass_costs_nothing() -> None:
    link = Link(1e9, 0.0)
    assert efficiency(1.0, 0.5e9, 2, link) == 1.0
    assert efficiency(1.0, 2e9, 2, link, hidden=0.0) == pytest.approx(1 / 3)
    assert efficiency(1.0, 2e9, 2, link) == pytest.approx(1 / (1 + 2 - 2 / 3))
    assert gradient_bytes(10, shards=True) == 60


@pytest.mark.parametrize(("parameters", "step"), [(22_700_000, 0.010), (110_000_000, 0.050)])
def test_the_page_shows_what_the_formula_gives(parameters: int, step: float) -> None:
    assert markdown_table(*table(parameters, step)) in PAGE.read_text("utf-8")
    assert len(table(parameters, step)[1]) == len(LINKS)
