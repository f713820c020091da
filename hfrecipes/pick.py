"""Pick: the rule that chooses one of many measured candidates, and which of them no other beats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from hfrecipes.value import Checked, value

Above = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Candidate:
    """A measured candidate: its deciding figure on held-out rows, milliseconds of processor time for one text (`p50_ms`,
    `p95_ms`) and for one of a list (`list_ms`), and MB (10^6 bytes) on disk. `run` and `graph` say what to open; a baseline has
    neither. `best`: no other candidate is as good in figure, time and size and better in one."""

    name: str
    run: str | None
    graph: str | None
    score: float
    p50_ms: float
    p95_ms: float
    list_ms: float
    mb: float
    best: bool = False


@value
class Pick(Checked):
    """Which candidate is taken: the fastest for one text of those whose figure is at most `max_drop` (absolute) worse than the
    best candidate's and at least `minimum`, whose 95th percentile of milliseconds for one text is at most `p95_ms`, and whose
    weights take at most `max_mb` (10^6 bytes)."""

    max_drop: Annotated[float, Field(ge=0)] | None = None
    minimum: float | None = None
    p95_ms: Above | None = None
    max_mb: Above | None = None

    def choose(self, candidates: Sequence[Candidate], lower: bool) -> tuple[Candidate | None, str]:
        """The candidate and why, or None and what nothing meets. `lower`: the figure is better low."""
        limits = self.limits(candidates, lower)
        fits = [c for c in candidates if all(excess(c) <= 0 for excess in limits.values())]
        if fits:
            found = min(fits, key=lambda c: c.p50_ms)
            return found, f"{found.name}: the fastest of {len(fits)} that keep to {self.words()}"
        for words, excess in limits.items():
            if all(excess(c) > 0 for c in candidates):
                nearest = min(candidates, key=excess)
                return None, f"nothing keeps to {words}. The nearest miss is {_told(nearest)}"
        nearest = min(candidates, key=lambda c: max(excess(c) for excess in limits.values()))
        missed = " and ".join(words for words, excess in limits.items() if excess(nearest) > 0)
        return None, f"nothing keeps to {self.words()} at once. The nearest is {_told(nearest)}, which misses {missed}"

    def limits(self, candidates: Sequence[Candidate], lower: bool) -> dict[str, Callable[[Candidate], float]]:
        """Each constraint in words, and by what share of itself a candidate misses it (0 or less where it does not)."""
        sign = -1.0 if lower else 1.0
        best = max(sign * candidate.score for candidate in candidates)
        found: dict[str, Callable[[Candidate], float]] = {}
        for field, text in self._given().items():
            bound: float = getattr(self, field)
            if field == "max_drop":
                found[text] = lambda c, bound=bound: (best - sign * c.score - bound) / max(abs(best), 1e-9)  # type: ignore[misc]
            elif field == "minimum":
                found[text] = lambda c, bound=bound: sign * (bound - c.score) / max(abs(bound), 1e-9)  # type: ignore[misc]
            else:
                key = "mb" if field == "max_mb" else "p95_ms"
                found[text] = lambda c, bound=bound, key=key: getattr(c, key) / bound - 1  # type: ignore[misc]
        return found

    def words(self) -> str:
        """The constraints as a sentence has them."""
        return " and ".join(self._given().values()) or "no limit"

    def _given(self) -> dict[str, str]:
        asked = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: f"{name} {bound:g}" for name, bound in asked.items() if bound is not None}


def marked(candidates: Sequence[Candidate], lower: bool) -> list[Candidate]:
    """The candidates, those marked that no other beats (the Pareto set over figure, time for one text, and size)."""
    sign = -1.0 if lower else 1.0

    def figures(c: Candidate) -> tuple[float, float, float]:
        return -sign * c.score, c.p50_ms, c.mb

    def beats(other: Candidate, one: Candidate) -> bool:
        pairs = list(zip(figures(other), figures(one), strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    return [dataclasses.replace(c, best=not any(beats(other, c) for other in candidates)) for c in candidates]


def _told(candidate: Candidate) -> str:
    return f"{candidate.name} ({candidate.score:.4f}, p95 {candidate.p95_ms:.2f} ms, {candidate.mb:.1f} MB)"
