"""The one subclass of `transformers.Trainer`, with its one overridden method: the loss is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from hfrecipes.objectives import LossFn


class RecipeTrainer(Trainer):
    """`Trainer` with a loss function of ours.

    The loss function gives the mean over one micro-batch. The Trainer counts the labelled items of all micro-batches of a
    step, on all processes; weighing each micro-batch by its share makes the gradient the same however a step is cut up
    (transformers#47688: with the model's own mean a step of 4 micro-batches has 4 times the gradient).
    """

    def __init__(self, loss_fn: LossFn, **options: Any) -> None:
        super().__init__(**options)
        self.loss_fn = loss_fn
        self.model_accepts_loss_kwargs = True

    def compute_loss(
        self, model: Any, inputs: Mapping[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of a micro-batch as its share of the step's mean."""
        loss, outputs = self.loss_fn(model, inputs)
        if num_items_in_batch is not None:
            labels = inputs["labels"][..., 1:] if self._loss_shifts_labels else inputs["labels"]
            share = labels.ne(-100).sum() / num_items_in_batch
            across = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
            loss = loss * share * across
        return (loss, outputs) if return_outputs else loss
