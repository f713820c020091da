"""The contract: whatever is made out of the service's own description, right or wrong, it answers as the description says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.asking import process

CASES = 30
REFUSING = ("/stream", "/labels")
"""Where well-formed bodies may be refused: a classifier does not write, and no label is of an answer that was never given."""
KEY = {"authorization": "Bearer secret"}


def test_schemathesis_finds_no_error_of_the_service(shown: Path) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis: pip install schemathesis")
    modes = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
    statuses: dict[str, Counter[int]] = {}
    with process(shown, "--window", "30", "--items", "4") as (started, address):
        described = schemathesis.openapi.from_url(f"{address}/openapi.json")
        for found in described.get_all_operations():
            operation = found.ok()
            seen = statuses.setdefault(operation.path, Counter())
            for mode in modes if operation.method == "post" else modes[:1]:
                _ask(operation.as_strategy(generation_mode=mode), seen, refusing=operation.path in REFUSING)
        assert started.poll() is None
    assert set(statuses) == {"/predict", "/stream", "/labels", "/drift", "/healthz", "/readyz", "/metrics"}
    assert all(status < 500 for seen in statuses.values() for status in seen), statuses
    assert statuses["/predict"][200] and statuses["/predict"][422]


def _ask(cases: Any, seen: Counter[int], refusing: bool) -> None:
    """Ask with many cases, count the statuses, and hold each reply against the description."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    excluded: list[Any] = [positive_data_acceptance] if refusing else []

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        response = case.call(headers=KEY)
        seen[response.status_code] += 1
        case.validate_response(response, headers=KEY, excluded_checks=excluded)

    run: Callable[[], None] = ask
    run()
