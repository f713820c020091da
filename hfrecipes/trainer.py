"""The one subclass of `transformers.Trainer`: loss and schedule are handed in, checkpoints are whole, numbers are finite."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import Trainer

from hfrecipes import distributed
from hfrecipes.checkpoints import STATE, committed, named, rotate
from hfrecipes.entries import WithEntries
from hfrecipes.errors import NonFinite
from hfrecipes.folder import verified
from hfrecipes.weighing import not_finite

if TYPE_CHECKING:
    from torch import Tensor

    from hfrecipes.objectives import LossFn
    from hfrecipes.schedules import Schedule

log = logging.getLogger("hfrecipes")
SKIPS = 10
"""Steps that a training may leave out."""


class RecipeTrainer(Trainer):
    """`Trainer` with a loss function of ours, a schedule where one is given, and masks of the weights that were zero when the
    training began.

    The loss function gives the mean over one micro-batch. The Trainer counts the labelled items of all micro-batches of a
    step, on all processes; weighing each micro-batch by its share makes the gradient the same however a step is cut up
    (transformers#47688: with the model's own mean a step of 4 micro-batches has 4 times the gradient).

    A loss or a gradient that is not finite raises NonFinite before the step is taken; with `skip` the step is left out, up to
    `SKIPS` times. `training` names the training in its checkpoints.
    """

    def __init__(
        self,
        loss_fn: LossFn,
        schedule: Schedule | None = None,
        zeros: Mapping[str, Tensor] | None = None,
        training: str = "",
        skip: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.loss_fn, self.schedule, self.zeros = loss_fn, schedule, zeros or {}
        self.training, self.skip, self.skipped = training, skip, 0
        self.model_accepts_loss_kwargs = True
        self._taken: tuple[int, int] = (-1, 0)
        self._saving: Path | None = None
        self._each: int | None = None

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

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Forward and backward of a micro-batch. Raises NonFinite."""
        step, before = self._taken
        self._taken = (self.state.global_step, before + 1 if step == self.state.global_step else 0)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not self.skip and distributed.processes() == 1 and not loss.isfinite():  # of several, the norm tells all of them
            raise self._non_finite("the loss", self._rows([self._taken[1]]))
        return loss

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """As the Trainer counts them; those of one token are the same in every step, and it walks through the model to count."""
        tokens = inputs[name].numel() if (name := getattr(self.model, "main_input_name", "input_ids")) in inputs else 0
        if tokens and self._each is None:
            self._each = super().floating_point_ops(dict(inputs)) // tokens
        return tokens * (self._each or 0)

    def _finalize_training(self, trial: Any, num_train_samples: float, start_time: float) -> Any:
        """What a training ends with; rows a second are counted in rows, an item of the training split being a batch of them."""
        sizes = [len(batch) for batch in self._batches] or [1]
        return super()._finalize_training(trial, num_train_samples * sum(sizes) / len(sizes), start_time)  # type: ignore[no-untyped-call]

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The norm of the gradient. Raises NonFinite; a scaler of fp16 looks after itself."""
        norm: Any = super()._get_grad_norm(model, grad_norm)  # type: ignore[no-untyped-call]
        if self.accelerator.scaler is not None or norm is None or math.isfinite(norm):
            return norm
        rows = list(chain.from_iterable(distributed.gathered(self._rows(range(self._taken[1] + 1)))))
        if not self.skip or self.skipped == SKIPS:
            raise self._non_finite("the gradient", rows)
        self.skipped += 1
        log.warning("%s: the step is left out", self._non_finite("the gradient", rows))
        for parameter in model.parameters():
            parameter.grad = None
        return norm

    def _non_finite(self, what: str, rows: Sequence[int]) -> NonFinite:
        return NonFinite(what, self.state.global_step + 1, rows, "See the rows, or take a smaller learning_rate")

    def _rows(self, micro_batches: Sequence[int]) -> list[int]:
        """The rows of the training split in micro-batches of this process in the step being taken, counted from 0."""
        batches, parts = self._batches, self.args.gradient_accumulation_steps * distributed.processes()
        if not batches:
            return []
        step = self.state.global_step % math.ceil(len(batches) / parts)
        places = [step * parts + number * distributed.processes() + distributed.rank() for number in micro_batches]
        return [int(row) for place in places if place < len(batches) for row in batches[place]]

    @property
    def _batches(self) -> Sequence[Any]:
        """The rows of each micro-batch of this epoch, none where the training split is not in batches."""
        rows: Any = self.train_dataset
        return getattr(rows.rows if isinstance(rows, WithEntries) else rows, "batches", [])

    def _get_output_dir(self, trial: Any) -> str:
        return super()._get_output_dir(trial) if self._saving is None else str(self._saving)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Commit a checkpoint. Raises NonFinite where a weight is not finite."""
        folder, step = self._folder, self.state.global_step
        if name := not_finite(model.state_dict().items()):
            raise NonFinite(f"the weight {name}", step, (), "Nothing was saved: take a smaller learning_rate")
        with committed(folder, step, self.training, self._bytes()) as self._saving:
            try:
                super()._save_checkpoint(model, trial)
            finally:
                saving, self._saving = self._saving, None
            self._name_best()
            if self.args.should_save:
                self.state.save_to_json(str(named(saving, step) / STATE))
        if self.args.should_save:
            rotate(folder, self.args.save_total_limit, self.state.best_model_checkpoint)

    def _init_training_state(self, *given: Any) -> tuple[int, int]:
        """Where a training goes on; the best checkpoint is looked for where the run is now."""
        found = super()._init_training_state(*given)
        self._name_best()
        return found

    def _load_best_model(self) -> None:
        """The best checkpoint's weights. Raises ModelError where that was damaged."""
        distributed.on_main(lambda: verified(Path(str(self.state.best_model_checkpoint))))
        super()._load_best_model()

    def _bytes(self) -> int:
        """Bytes of the weights and of what the optimizer keeps of them."""
        kept: Any = self.optimizer.state.values() if self.optimizer is not None else ()
        tensors = [tensor for entry in kept for tensor in entry.values() if hasattr(tensor, "nbytes")]
        return sum(tensor.nbytes for tensor in (*self.accelerator.unwrap_model(self.model).state_dict().values(), *tensors))

    @property
    def _folder(self) -> Path:
        return Path(str(self.args.output_dir))

    def _name_best(self) -> None:
        best = self.state.best_global_step
        self.state.best_model_checkpoint = str(named(self._folder, best)) if best else None
