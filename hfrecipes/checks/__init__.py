"""Check: what must hold before anything is published. It judges what was measured, and measures nothing itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hfrecipes.part import Part


@dataclass(frozen=True)
class Trial:
    """What a check sees. `candidates` are the measured models by name: `pytorch` first, then a bundle's graphs, such as
    `cpu/int8`. `served` names the one that answers in production; `metric` the figure that decides, `lower` whether it is
    better low."""

    candidates: Mapping[str, Mapping[str, Any]]
    served: str
    metric: str
    lower: bool = False

    @property
    def bundles(self) -> dict[str, Mapping[str, Any]]:
        return {name: facts for name, facts in self.candidates.items() if name != "pytorch"}


@dataclass(frozen=True)
class Verdict:
    """Whether a check passed, and the figures that say so."""

    check: str
    passed: bool
    reason: str


class Check(Part, kind="checks"):
    """Base of checks."""

    @abstractmethod
    def judge(self, trial: Trial) -> Verdict:
        """The verdict, with a reason that holds figures whichever way it falls."""
