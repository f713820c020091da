"""The one subclass of `transformers.Trainer`: the loss and the schedule are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from transformers import Trainer

if TYPE_CHECKING:
    from torch import Tensor

    from hfrecipes.objectives import LossFn
    from hfrecipes.schedules import Schedule


class RecipeTrainer(Trainer):
    """`Trainer` with a loss function of ours, a schedule where one is given, and masks of the weights that were zero when the
    training began.

    The loss function gives the mean over one micro-batch. The Trainer counts the labelled items of all micro-batches of a
    step, on all processes; weighing each micro-batch by its share makes the gradient the same however a step is cut up
    (transformers#47688: with the model's own mean a step of 4 micro-batches has 4 times the gradient).
    """

    def __init__(
        self, loss_fn: LossFn, schedule: Schedule | None = None, zeros: Mapping[str, Tensor] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.loss_fn, self.schedule, self.zeros = loss_fn, schedule, zeros or {}
        self.model_accepts_loss_kwargs = True

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The schedule that was given, now that the number of steps is known."""
        chosen: Any = optimizer or self.optimizer
        if self.schedule is not None and self.lr_scheduler is None:
            self.lr_scheduler = self.schedule.build(chosen, num_training_steps)  # type: ignore[assignment]
        return super().create_scheduler(num_training_steps, optimizer)

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
