"""Label errors: rows whose label a model that did not see them finds improbable (Northcutt et al. 2021, arXiv:1911.00068)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SHOWN = 50
MISSING = "cleanlab is not installed: pip install 'hfrecipes[labels]'"


def suspects(answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of rows that were answered out of fold those whose label is likely wrong, the likeliest first, as `suspects`; None where
    nothing can be said, and `why_no_suspects` says why not."""
    if not answers or "scores" not in answers[0]:
        return {"suspects": None, "why_no_suspects": "only rows with one label each can be looked at"}
    if importlib.util.find_spec("cleanlab") is None:
        return {"suspects": None, "why_no_suspects": MISSING}
    from cleanlab.filter import find_label_issues

    names = sorted({name for answer in answers for name in [*answer["scores"], answer["reference"]]})
    chances = np.array([[answer["scores"].get(name, 0.0) for name in names] for answer in answers])
    labels = np.array([names.index(answer["reference"]) for answer in answers])
    found = find_label_issues(labels, chances, return_indices_ranked_by="self_confidence", n_jobs=1)
    kept = [answers[int(i)] for i in found]
    return {
        "suspects": [
            {
                "row": a["row"],
                "text": a["text"],
                "label": a["reference"],
                "rather": a["prediction"],
                "score": round(a["scores"].get(a["reference"], 0.0), 6),
            }
            for a in kept[:SHOWN]
        ],
        "why_no_suspects": "",
    }
