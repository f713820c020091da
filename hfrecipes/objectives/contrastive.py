"""contrastive: texts of one class come together, those of others apart, and the head learns along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from torch import Tensor


@value
class Contrastive(Objective):
    """The supervised contrastive loss over a batch (Khosla et al. 2020, arXiv:2004.11362, equation 2, `temperature`), and
    `labels` times the cross-entropy of the head: both in one training, where SetFit (Tunstall et al. 2022, arXiv:2209.11055)
    has one for the body and one for the head.

    Of a class `rows_of_a_class` come to a batch at once: a text without a partner in its batch teaches the head alone. A batch
    may be an episode, too: then what is learned is measured on other classes, by the nearest mean.
    """

    temperature: Annotated[float, Field(gt=0)] = 0.1
    labels: Annotated[float, Field(ge=0)] = 1.0
    rows_of_a_class: Annotated[int, Field(gt=1)] = 4

    head: ClassVar[str | None] = "prototype"
    by_batch: ClassVar[bool] = True

    @property
    def together(self) -> int:
        return self.rows_of_a_class

    def bind(self, training: Training) -> LossFn:
        from hfrecipes.objectives._episode import check_head, passes

        check_head(training, self.name)

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            from torch.nn.functional import cross_entropy

            outputs = passes(model, batch, head_learns=self.labels > 0)
            mean = cross_entropy(outputs.logits.float(), batch["labels"])
            if model.training:
                return self.pairs(outputs.embeddings, batch["labels"]) + self.labels * mean, outputs
            return mean if training.episodes is None else self.pairs(outputs.embeddings, batch["labels"]), outputs

        return loss

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        from hfrecipes.objectives._episode import distances

        return -distances(query, support.mean(dim=1))

    def pairs(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean over the rows that have a partner of the same label; 0 where none has."""
        import torch

        scores = embeddings.float() @ embeddings.float().T / self.temperature
        same = labels[:, None] == labels[None]
        own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        logs = scores - scores.masked_fill(own, float("-inf")).logsumexp(dim=-1, keepdim=True)
        partners = same & ~own
        counts = partners.sum(dim=-1)
        each = (logs * partners).sum(dim=-1)[counts > 0] / counts[counts > 0]
        return -each.mean() if len(each) else scores.sum() * 0
