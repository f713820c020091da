"""distill: a student learns from a teacher's answers, and from labels where there are any."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from hfrecipes.errors import blamed
from hfrecipes.losses import Loss
from hfrecipes.models import Model
from hfrecipes.objectives import LossFn, Objective, Training
from hfrecipes.part import value

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SeveralModels = Annotated[
    tuple[Model, ...], BeforeValidator(lambda given: given if isinstance(given, (list, tuple)) else (given,))
]


@value
class Distill(Objective):
    """A student learns from the answers of `teacher`, and from labels where there are any.

    `teacher` is a run, a folder, or a name on the Hub, like `model:`, and must read the same tokens; of several the mean of their
    chances is taken. What is minimised is the sum of `losses`, each with its own weight, and `labels` times the task's own loss:
    the mean over all items, of which those without a label have no such loss. In evaluation it is the task's own loss alone.

    The teacher runs once: its answers are stored for every text, and later epochs, runs and other students read them
    (`cached: false` asks it at every step). It must run at every step where more than its answers is compared (`cached: states`
    stores hidden states and embeddings too, with 16 bits: some kilobytes a token), where they are over a whole vocabulary (take
    `top_k`), or where the task changes rows at every step. `on_policy` is the share of steps in
    which the student is compared on what it writes itself, without labels (GKD, Agarwal et al. 2024, arXiv:2306.13649).
    `quantized` rounds the student's weights and their inputs to 8 bits in training, as the int8 graph that is exported will.
    """

    teacher: SeveralModels
    losses: Annotated[tuple[Loss, ...], Field(min_length=1)] = dataclasses.field(
        default_factory=lambda: (Loss.choose("soft_targets"),)
    )
    labels: Annotated[float, Field(ge=0)] = 1.0
    cached: Literal[True, False, "states"] = True
    on_policy: Annotated[float, Field(ge=0, le=1)] = 0.0
    quantized: bool = False

    reads_unlabelled: ClassVar[bool] = True

    def bind(self, training: Training) -> LossFn:
        from hfrecipes.objectives._lesson import Lesson

        return Lesson(self, training)

    @property
    def entries(self) -> Sequence[str]:
        from hfrecipes.objectives._teacher import ENTRY, STATES

        return (ENTRY, STATES)

    def signature(self) -> str:
        from hfrecipes.objectives._teacher import WHERE

        with blamed(WHERE):
            return " ".join(model.fingerprint() for model in self.teacher)

    @property
    def looks_inside(self) -> bool:
        return any(loss.inside for loss in self.losses)

    def release(self, model: PreTrainedModel) -> None:
        from hfrecipes.objectives import _quantized
        from hfrecipes.objectives._lesson import PROJECTION

        _quantized.release(model)
        for name, _ in list(model.named_children()):
            if name.startswith(PROJECTION):
                delattr(model, name)

    def weigh(self, terms: Sequence[Any], hard: Any, share: float) -> Any:
        """The sum of the losses after this share of the training, and of the task's own."""
        return sum((loss.at(share) * term for loss, term in zip(self.losses, terms, strict=True)), self.labels * hard)
