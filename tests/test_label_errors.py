"""Label errors: rows whose label models that did not see them doubt."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from hfrecipes.label_errors import MISSING, suspects

NAMES = ("a", "b", "c")


def answered(count: int, wrong: tuple[int, ...]) -> list[dict[str, Any]]:
    """Answers out of fold that are sure of the truth, to rows of which some have another label."""
    generator = np.random.default_rng(0)
    found = []
    for i in range(count):
        truth = i % 3
        chances = generator.dirichlet([1 if each != truth else 40 for each in range(3)])
        label = NAMES[(truth + 1) % 3] if i in wrong else NAMES[truth]
        scores = dict(zip(NAMES, chances.tolist(), strict=True))
        found.append({"row": i, "text": f"row {i}", "prediction": NAMES[truth], "reference": label, "scores": scores})
    return found


def test_without_probabilities_or_without_cleanlab_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert suspects([])["suspects"] is None
    assert "one label each" in suspects([{"row": 0, "prediction": 1.5, "reference": 2.0}])["why_no_suspects"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert suspects(answered(30, ()))["why_no_suspects"] == MISSING


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrong_labels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cleanlab", reason="cleanlab is not installed: pip install 'hfrecipes[labels]'")
    found = suspects(answered(300, (4, 70, 200)))["suspects"]
    assert len(found) >= 2 and {each["row"] for each in found} <= {4, 70, 200}
    assert all(each["label"] != each["rather"] and each["score"] < 0.5 for each in found)
