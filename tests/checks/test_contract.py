"""What every check must do."""

from __future__ import annotations

from typing import Any

import pytest

from hfrecipes.checks import Trial
from tests.contracts import every, make

OPTIONS: dict[str, dict[str, Any]] = {"latency": {"p95_ms": 20}, "size": {"max_mb": 50}}
"""The limits that a check cannot do without, or that ask nothing by default."""


def trial(score: float, mb: float, p95: float, share: float) -> Trial:
    """A PyTorch model, its fp32 bundle, and a served int8 graph with these figures."""
    facts = {
        "scores": {"accuracy": 0.9},
        "mb": 100.0,
        "p50_ms": 4.0,
        "p95_ms": 5.0,
        "precision": "float32",
        "agreement": {"alone": 1.0},
    }
    served = {
        "scores": {"accuracy": score},
        "mb": mb,
        "p95_ms": p95,
        "precision": "int8",
        "agreement": {"alone": 1.0, "padded": share},
    }
    return Trial({"pytorch": facts, "cpu/fp32": facts, "cpu/int8": served}, "cpu/int8", "accuracy")


GOOD, BAD = trial(0.9, 25.0, 2.0, 1.0), trial(0.2, 300.0, 900.0, 0.3)


@pytest.mark.parametrize("name", every("checks"))
def test_a_check_passes_a_good_trial_and_refuses_a_bad_one(name: str) -> None:
    check = make("checks", name, OPTIONS)
    assert check.judge(GOOD).passed
    assert not check.judge(BAD).passed


@pytest.mark.parametrize("name", every("checks"))
def test_a_verdict_names_its_check_and_holds_figures_whichever_way_it_falls(name: str) -> None:
    check = make("checks", name, OPTIONS)
    for verdict in (check.judge(GOOD), check.judge(BAD)):
        assert verdict.check == name
        assert any(letter.isdigit() for letter in verdict.reason)
    assert check.judge(GOOD).reason != check.judge(BAD).reason
