"""Occasion: whether it is time for a retraining, by what the log says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hfrecipes.audit import PROMOTED, REFUSED, STARTED, SUPERSEDED, Record
from hfrecipes.durations import seconds, words
from hfrecipes.upkeep import Budget, Retrain
from hfrecipes.watching import Watched

WORKED = (STARTED, PROMOTED, REFUSED)
"""The records of retrainings that were more than a look."""
ENDED = (PROMOTED, REFUSED, SUPERSEDED)
"""Those that say what one took."""


def waits(how: Retrain, records: Sequence[Record], ages: Sequence[float]) -> str:
    """Why it is too early, or too dear, to train again; "" where it is neither."""
    last = min((age for record, age in zip(records, ages, strict=True) if record["event"] in WORKED), default=None)
    for name, least in (("cool-down", how.cool_down), ("schedule", how.every)):
        if least is not None and last is not None and last < seconds(least):
            return f"{name}: the last retraining was {words(last)} ago, and {least} lie between two"
    return _spent(how.budget, records, ages) if how.budget else ""


def _spent(budget: Budget, records: Sequence[Record], ages: Sequence[float]) -> str:
    within = [record for record, age in zip(records, ages, strict=True) if age < seconds(budget.within)]
    count = sum(record["event"] == STARTED for record in within)
    if budget.retrainings is not None and count >= budget.retrainings:
        return f"budget: {count} retrainings within {budget.within}, of {budget.retrainings}"
    minutes = sum(float(record.get("minutes", 0)) for record in within if record["event"] in ENDED)
    if budget.minutes is not None and minutes >= budget.minutes:
        return f"budget: {minutes:.1f} minutes within {budget.within}, of {budget.minutes:g}"
    return ""


def drift(seen: Watched) -> dict[str, Any]:
    """What a monitor found, as the log keeps it."""
    moved = [f"{finding.detector}: {finding.moved}" for finding, _, beyond in seen.worst()[:3] if beyond]
    counts = {"windows": len(seen.windows), "alarmed": seen.alarmed, "allowed": seen.allowed}
    return {"drifted": seen.drifted, **counts, "moved": moved}


def sentence(found: Mapping[str, Any]) -> str:
    """The same in words."""
    counts = f"{found['alarmed']} of {found['windows']} windows raised an alarm, chance may bring {found['allowed']}"
    return f"{'drift' if found['drifted'] else 'no drift'}: {counts}"
