"""The limits of the checks, on either side."""

from __future__ import annotations

import pytest

from hfrecipes.checks import Check, Trial
from hfrecipes.checks.latency import Latency
from hfrecipes.checks.parity import Parity
from hfrecipes.checks.quality import Quality
from hfrecipes.checks.size import Size
from tests.checks.test_contract import trial

CASES = [
    pytest.param(Latency(p95_ms=2.0), trial(0.9, 25, 2.0, 1), True, id="latency at the limit"),
    pytest.param(Latency(p95_ms=2.0), trial(0.9, 25, 2.01, 1), False, id="latency above the limit"),
    pytest.param(Size(max_mb=25.0), trial(0.9, 25, 2, 1), True, id="size at the limit"),
    pytest.param(Size(max_mb=24.9), trial(0.9, 25, 2, 1), False, id="size above the limit"),
    pytest.param(Size(min_ratio=4.0), trial(0.9, 25, 2, 1), True, id="ratio at the limit"),
    pytest.param(Size(min_ratio=4.1), trial(0.9, 25, 2, 1), False, id="ratio below the limit"),
    pytest.param(Size(), trial(0.9, 25, 2, 1), True, id="size without a limit"),
    pytest.param(Quality(max_drop=0.05), trial(0.86, 25, 2, 1), True, id="a drop within the limit"),
    pytest.param(Quality(max_drop=0.05), trial(0.84, 25, 2, 1), False, id="a drop beyond the limit"),
    pytest.param(Quality(), trial(0.95, 25, 2, 1), True, id="better than pytorch"),
    pytest.param(Quality(minimum=0.9), trial(0.899, 25, 2, 1), False, id="below the minimum"),
    pytest.param(Parity(), trial(0.9, 25, 2, 0.95), True, id="parity of int8 at the limit"),
    pytest.param(Parity(), trial(0.9, 25, 2, 0.94), False, id="parity of int8 below the limit"),
    pytest.param(Parity(quantized=0.5), trial(0.9, 25, 2, 0.6), True, id="parity with a limit of its own"),
]


@pytest.mark.parametrize(("check", "given", "passed"), CASES)
def test_a_check_holds_its_limit(check: Check, given: Trial, passed: bool) -> None:
    assert check.judge(given).passed is passed


def test_quality_of_a_figure_that_is_better_low() -> None:
    candidates = {"pytorch": {"scores": {"perplexity": 10.0}}, "cpu/int8": {"scores": {"perplexity": 12.0}}}
    low = Trial(candidates, "cpu/int8", "perplexity", lower=True)
    assert Quality(max_drop=2.5).judge(low).passed
    assert not Quality(max_drop=1.5).judge(low).passed
    assert not Quality(max_drop=2.5, minimum=11.0).judge(low).passed


def test_parity_holds_fp32_to_the_exact_limit() -> None:
    facts = {"precision": "float32", "agreement": {"alone": 0.98}}
    verdict = Parity().judge(Trial({"pytorch": {}, "cpu/fp32": facts}, "cpu/fp32", "accuracy"))
    assert not verdict.passed
    assert "cpu/fp32 alone 0.9800 (at least 0.999)" in verdict.reason


def test_parity_without_a_bundle_is_refused() -> None:
    assert not Parity().judge(Trial({"pytorch": {}}, "pytorch", "accuracy")).passed
