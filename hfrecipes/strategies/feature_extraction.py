"""feature_extraction: the body stays as it is, the head learns from what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from hfrecipes.part import value
from hfrecipes.strategies import Strategy

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from hfrecipes.family import Family


@value
class FeatureExtraction(Strategy):
    """The body stays as it is and the head learns (Peters et al. 2019, arXiv:1903.05987).

    The head is what lies behind the last block. Where it is tied to the embeddings there is next to nothing to train: the
    last norm.

    `cached: false` computes the frozen part anew every epoch and with dropout in it, as a plain Trainer does; else it is
    computed once, without dropout.

    `solver: lbfgs` puts the last layer of a classifier where the loss of the labels is least before the first step (see
    `solved_head.py`). With `train: {num_train_epochs: 0}` that is the training; else the whole head goes on from there.
    """

    cached: bool = True
    solver: Literal["lbfgs"] | None = None

    rate_factor: ClassVar[float] = 30.0
    rate_source: ClassVar[str] = "Peters et al. 2019, arXiv:1903.05987, appendix A (1e-3)"

    def prepare(self, model: PreTrainedModel, family: Family) -> PreTrainedModel:
        from hfrecipes.family import depths
        from hfrecipes.strategies._stages import check_head, check_solver

        check_head(f"strategy.{self.name}", model)
        if self.solver:
            check_solver(f"strategy.{self.name}.solver", model)
        found = depths(model)
        top = max(found.values())
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(found[name] == top)
        return model

    def frozen_blocks(self, model: PreTrainedModel, epoch: int) -> int:
        from hfrecipes.family import blocks

        return len(blocks(model)) if self.cached else 0

    def finish(self, model: PreTrainedModel) -> PreTrainedModel:
        model.requires_grad_(True)
        return model
