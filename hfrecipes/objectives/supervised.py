"""supervised: the loss that the task defines for its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hfrecipes.errors import RecipeError
from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.objectives._answers import read, shifts
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, Task

if TYPE_CHECKING:
    from torch import Tensor


@value
class Supervised(Objective):
    """The loss that the task defines for its labels: cross-entropy for classes and tokens, binary cross-entropy for several
    labels, squared error for numbers, a ranking loss for similarity.

    For classes and for tokens it can be changed. `label_smoothing` takes that share of the target from the label and spreads it
    over all (Szegedy et al. 2016, arXiv:1512.00567). `class_weights` multiplies the loss of each label, by name, or so that all
    classes weigh the same (`balanced`). `focal` turns the weight of an item with the probability p of its label down by (1 - p)
    to this power (Lin et al. 2017, arXiv:1708.02002). `r_drop` answers twice, with different dropout, and adds this many times
    the mean of both Kullback-Leibler divergences (Liang et al. 2021, arXiv:2106.14448).
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["balanced"] | Mapping[str, Annotated[float, Field(ge=0)]] | None = None
    focal: Annotated[float, Field(ge=0)] = 0.0
    r_drop: Annotated[float, Field(ge=0)] = 0.0

    def bind(self, training: Training) -> LossFn:
        model, family, task = training.model, training.family, training.task
        asked = [name for name in ("label_smoothing", "class_weights", "focal", "r_drop") if getattr(self, name)]
        if not asked:
            return task.loss
        if type(task).loss is not Task.loss or model.config.problem_type in ("regression", "multi_label_classification"):
            what = f"{task.name} has no cross-entropy over classes or tokens that could be changed"
            raise RecipeError(f"objective.{self.name}.{asked[0]}", what, "Leave it out")
        weights = self._weights(model.config)
        shifted, plain = shifts(model, family), model

        def loss(model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
            inputs = read(plain, family, batch)
            outputs = model(**inputs)
            answers = [outputs.logits] + ([model(**inputs).logits] if self.r_drop and model.training else [])
            labels = batch["labels"]
            if shifted:
                answers, labels = [logits[:, :-1] for logits in answers], labels[:, 1:]
            return self._mean(answers, labels, weights), outputs

        return loss

    def _mean(self, answers: list[Tensor], labels: Tensor, weights: Tensor | None) -> Tensor:
        """The mean over labelled items; `answers` are the logits of one pass, or of two."""
        from torch.nn import functional

        counted = labels.reshape(-1) != IGNORED
        wanted = labels.reshape(-1)[counted]
        scores = [functional.log_softmax(logits.reshape(-1, logits.shape[-1])[counted].float(), dim=-1) for logits in answers]
        each = sum(self._items(logs, wanted, weights) for logs in scores) / len(scores)
        if len(scores) == 2:
            one, two = (functional.kl_div(a, b, reduction="none", log_target=True).sum(-1) for a, b in (scores, scores[::-1]))
            each = each + self.r_drop * (one + two) / 2
        total: Tensor = each.sum() / max(1, len(wanted))  # type: ignore[union-attr]
        return total

    def _items(self, logs: Tensor, wanted: Tensor, weights: Tensor | None) -> Tensor:
        """The loss of each item from its log probabilities."""
        hit = logs.gather(1, wanted[:, None])[:, 0]
        found = -(1 - self.label_smoothing) * hit - self.label_smoothing * logs.mean(-1)
        if self.focal:
            found = found * (1 - hit.exp()) ** self.focal
        return found if weights is None else found * weights.to(found.device)[wanted]

    def _weights(self, config: Any) -> Tensor | None:
        """The weight of each label in the order of the ids."""
        import torch

        if self.class_weights is None:
            return None
        where = f"objective.{self.name}.class_weights"
        names = [str(config.id2label[i]) for i in sorted(config.id2label)]
        if self.class_weights == "balanced":
            if not hasattr(config, "label_counts"):
                raise RecipeError(where, "the labels of this task are not counted", "Write the weights by name")
            counts = torch.tensor(config.label_counts, dtype=torch.float32)
            return counts.sum() / (counts.clamp(min=1) * len(counts))
        if unknown := sorted(set(self.class_weights) - set(names)):
            raise RecipeError(where, f"there is no label '{unknown[0]}'", f"There are: {', '.join(names)}")
        return torch.tensor([self.class_weights.get(name, 1.0) for name in names])
