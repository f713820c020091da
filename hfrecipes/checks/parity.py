"""parity: each bundle answers as the PyTorch model does."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from hfrecipes.checks import Check, Trial, Verdict
from hfrecipes.part import value

Share = Annotated[float, Field(ge=0, le=1)]


@value
class Parity(Check):
    """The share of answers of a bundle that equal PyTorch's on the test split, over each way of batching: the short half,
    the long half, padded together, one by one. `exact` is asked of fp32 graphs, `quantized` of all others."""

    exact: Share = 0.999
    quantized: Share = 0.95

    of_candidates: ClassVar[bool] = True

    def judge(self, trial: Trial) -> Verdict:
        worst: list[tuple[float, str]] = []
        for name, facts in trial.bundles.items():
            least = self.exact if facts["precision"] == "float32" else self.quantized
            worst += [
                (share - least, f"{name} {way} {share:.4f} (at least {least})") for way, share in facts["agreement"].items()
            ]
        if not worst:
            return Verdict(self.name, False, "no bundle was exported, so there is nothing to compare")
        margin, words = min(worst)
        return Verdict(self.name, margin >= 0, f"lowest share of equal answers: {words}")
