"""Detector: has the world moved? It keeps a summary of held-out rows, and says how far new rows are from it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hfrecipes.part import Part

if TYPE_CHECKING:
    from hfrecipes.signals import Sample


class Detector(Part, kind="detectors"):
    """Base of detectors. `feature` names what of a sample it looks at."""

    feature: str

    @property
    def title(self) -> str:
        return f"{self.name}({self.feature})"

    @abstractmethod
    def summarise(self, sample: Sample) -> dict[str, Any]:
        """What `distance` has to know about a sample, as values of JSON; its size does not grow with the rows."""

    @abstractmethod
    def distance(self, baseline: Mapping[str, Any], sample: Sample) -> float:
        """How far a sample is from the one that was summarised; 0 where nothing has moved."""
