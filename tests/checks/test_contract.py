"""What every check must do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hfrecipes.checks import CHECKLIST, Trial
from tests.contracts import every, make

OPTIONS: dict[str, dict[str, Any]] = {"latency": {"p95_ms": 20}, "size": {"max_mb": 50}, "budget": {"p95_ms": 20}}
"""The limits that a check cannot do without, or that ask nothing by default."""


FIGURES = {"accuracy": {"score": 0.9, "interval": [0.88, 0.92]}}
LONG = {"rows": 30, "score": 0.8, "interval": [0.7, 0.9]}
WORTH = {
    "belongs": True,
    "by_likelihood": False,
    "claims": 500,
    "rows": 500,
    "fitted_on": 500,
    "temperature": 1.2,
    "plain_error": 0.05,
    "coverage": 0.9,
}
LOADED = {"place": "intents", "previous": "v1", "error": "", "figure": "accuracy", "was": 0.9, "now": 0.9}
FRESH = {"missing": [], "differing": [], "labels": "", "error": "", "rows": 8}
EVIDENCE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "held_out": (
        {"test_split": True, "rows": 100, "exact": 0, "near": 1, "reads": 1, "pairs": []},
        {"test_split": True, "rows": 100, "exact": 3, "near": 1, "reads": 1, "pairs": [{"test": "my card"}]},
    ),
    "cross_validation": (
        {"folds": [1, 2], "mean": {"accuracy": 0.9}, "sd": {"accuracy": 0.01}, "suspects": None},
        {"folds": [1, 2], "mean": {"accuracy": 0.9}, "sd": {"accuracy": 0.2}, "suspects": []},
    ),
    "slices": (
        {"figure": "accuracy", "lower_is_better": False, "figures": FIGURES, "slices": {"long texts": LONG}},
        {
            "figure": "accuracy",
            "lower_is_better": False,
            "figures": FIGURES,
            "slices": {"long texts": {**LONG, "interval": [0.1, 0.3]}},
        },
    ),
    "edge_cases": (
        {"cases": {"typo": {"changed": 0.1, "error": ""}, "empty": {"changed": None, "error": ""}}, "own": []},
        {"cases": {"typo": {"changed": 0.6, "error": ""}, "empty": {"changed": None, "error": "KeyError: 3"}}, "own": []},
    ),
    "budget": ({"hardware": {"cpu": "a processor", "cores": 2}}, {"hardware": {"cpu": "a processor", "cores": 2}}),
    "uncertainty": ({**WORTH, "calibration_error": 0.02}, {**WORTH, "calibration_error": 0.02, "coverage": 0.8}),
    "preprocessing": ({**FRESH, "equal": 8}, {**FRESH, "equal": 7}),
    "monitoring": (
        {"there": True, "belongs": True, "missing": [], "rows": 90, "answers": 2},
        {"there": True, "belongs": True, "missing": [], "rows": 0, "answers": 2},
    ),
    "failure_modes": ({"limits": "Not for texts in other languages."}, {"limits": "None."}),
    "rollback": ({**LOADED, "gain": 0.0, "interval": [-0.01, 0.01]}, {**LOADED, "gain": -0.05, "interval": [-0.07, -0.03]}),
}
"""What lets a check pass, and what does not."""


def trial(score: float, mb: float, p95: float, share: float, which: int = 0) -> Trial:
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
    evidence = {name: pair[which] for name, pair in EVIDENCE.items()}
    return Trial({"pytorch": facts, "cpu/fp32": facts, "cpu/int8": served}, "cpu/int8", "accuracy", evidence=evidence)


GOOD, BAD = trial(0.9, 25.0, 2.0, 1.0, 0), trial(0.2, 300.0, 900.0, 0.3, 1)


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


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("held_out", {"test_split": False}, "there is no test split"),
    ("held_out", {**EVIDENCE["held_out"][0], "near": 6}, "6.0% are nearly there (at most 5%)"),
    ("held_out", {**EVIDENCE["held_out"][0], "reads": 2}, "measured on for 2 checkpoints (at most 1)"),
    ("cross_validation", {"folds": []}, "no folds were trained. Write `validate: {folds: 5}`"),
    ("slices", {**EVIDENCE["slices"][0], "figure": None}, "no metric reads the answers"),
    ("edge_cases", {"cases": {}, "own": [{"given": "a", "expected": "b", "answer": "c"}]}, "'a' gave c"),
    ("uncertainty", {**WORTH, "belongs": False}, "is not that of its weights"),
    ("uncertainty", {**WORTH, "fitted_on": 0}, "the served bundle has no uncertainty.json"),
    ("uncertainty", {**WORTH, "fitted_on": 40, "calibration_error": 0.2}, "40 held-out rows are fewer than 50"),
    ("uncertainty", {**WORTH, "calibration_error": 0.2, "coverage": None}, "too few right answers for a coverage"),
    ("preprocessing", {**FRESH, "error": "no such file", "equal": None}, "does not answer in a new process: no such file"),
    ("monitoring", {"there": False}, "the checkpoint has no baseline.json"),
    ("rollback", {"place": None}, "no place for releases is named"),
    ("rollback", {**LOADED, "error": "damaged"}, "v1 of intents cannot be gone back to: damaged"),
    ("rollback", {**LOADED, "gain": -0.005, "interval": [-0.009, -0.001]}, "-0.0050 (-0.0090 … -0.0010"),
]


@pytest.mark.parametrize(("name", "evidence", "said"), REFUSED)
def test_what_was_not_shown_is_refused_with_the_way_out(name: str, evidence: dict[str, Any], said: str) -> None:
    verdict = make("checks", name, OPTIONS).judge(dataclasses.replace(GOOD, evidence={name: evidence}))
    assert not verdict.passed and said in verdict.reason


PASSED: list[tuple[str, dict[str, Any], str]] = [
    ("slices", {**EVIDENCE["slices"][0], "slices": {}}, "no slice has 20 rows"),
    ("uncertainty", {**WORTH, "by_likelihood": True}, "the task has no confidence to be wrong about"),
    ("rollback", {"place": "intents", "previous": None}, "the first release in intents"),
]


@pytest.mark.parametrize(("name", "evidence", "said"), PASSED)
def test_what_cannot_be_shown_passes_and_says_so(name: str, evidence: dict[str, Any], said: str) -> None:
    verdict = make("checks", name, OPTIONS).judge(dataclasses.replace(GOOD, evidence={name: evidence}))
    assert verdict.passed and said in verdict.reason


def test_a_budget_of_nothing_is_refused() -> None:
    assert "no budget is named. Write `budget: {p95_ms: …, max_mb: …}`" in make("checks", "budget", {}).judge(GOOD).reason


def test_everything_that_gathers_evidence_is_in_the_checklist() -> None:
    assert set(EVIDENCE) == set(CHECKLIST) < set(every("checks"))
