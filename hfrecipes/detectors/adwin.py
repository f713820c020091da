"""adwin: a window over a stream that is cut where its two sides differ."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hfrecipes.detectors._streams import Streams
from hfrecipes.part import value


@value
class Adwin(Streams):
    """adwin: adaptive windowing (Bifet and Gavaldà 2007, SDM), by river. `delta` bounds the chance of a false alarm."""

    feature: Literal["confidence", "characters", "tokens", "unknown_tokens", "rare_tokens"] = "confidence"
    delta: Annotated[float, Field(gt=0, lt=1)] = 0.002

    def opened(self, drift: Any) -> Any:
        return drift.ADWIN(delta=self.delta, grace_period=10, clock=8)
