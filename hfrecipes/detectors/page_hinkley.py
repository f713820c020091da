"""page_hinkley: the cumulated sum of what a stream is off its mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hfrecipes.detectors._streams import Streams
from hfrecipes.part import value


@value
class PageHinkley(Streams):
    """page_hinkley: the test of Page and Hinkley (Page 1954, Biometrika 41), by river. `threshold` is the cumulated sum that is a
    change, and `delta` what a row may be off for nothing, both in standard deviations."""

    feature: Literal["confidence", "characters", "tokens", "unknown_tokens", "rare_tokens"] = "confidence"
    delta: Annotated[float, Field(ge=0)] = 0.2
    threshold: Annotated[float, Field(gt=0)] = 50.0

    def opened(self, drift: Any) -> Any:
        return drift.PageHinkley(min_instances=30, delta=self.delta, threshold=self.threshold, alpha=1.0)
