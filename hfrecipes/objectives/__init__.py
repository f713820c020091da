"""Objective: what training minimises."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, TrainerCallback

    from hfrecipes.entries import Collate, WithEntries
    from hfrecipes.episodes import Episodes
    from hfrecipes.family import Family
    from hfrecipes.tasks import Task
    from hfrecipes.tokens import Tokens

LossFn = Callable[[Any, Mapping[str, Any]], "tuple[Tensor, Any]"]
"""(model, batch) -> (the mean loss over the batch's labelled items, the model's outputs)"""


@dataclass(frozen=True)
class Training:
    """What an objective may know of a training: the model and its task, and, where it computes something of the rows beforehand,
    the tokenizer, the rows (and those `held` out), how they become a batch, and where and how exactly it is computed. With
    `episodes` a batch is one. What it adds to `callbacks` is called by the Trainer."""

    model: PreTrainedModel
    family: Family
    task: Task
    tokens: Tokens | None = None
    rows: WithEntries | None = None
    collate: Collate | None = None
    bf16: bool = False
    device: Any = "cpu"
    callbacks: list[TrainerCallback] = field(default_factory=list)
    held: WithEntries | None = None
    episodes: Episodes | None = None


class Objective(Part, kind="objectives"):
    """Base of objectives. `reads_unlabelled`: it learns from rows without a label, too. `in_episodes`: each of its batches is an
    episode. `by_batch`: its loss compares the rows of a batch. `head` is the one it needs where a recipe names none."""

    reads_unlabelled: ClassVar[bool] = False
    in_episodes: ClassVar[bool] = False
    by_batch: ClassVar[bool] = False
    head: ClassVar[str | None] = None

    @abstractmethod
    def bind(self, training: Training) -> LossFn:
        """The loss function of a training. Its loss is a scalar: the mean over the items (rows, or tokens) of one batch."""

    def logits(self, support: Tensor, query: Tensor) -> Tensor | None:
        """What it says of queries (n, units) after it saw the embeddings of a support of shape (ways, shots, units): logits of
        shape (n, ways). None where embeddings are not all that it needs."""
        return None

    def adapted(self, model: Any, batch: Mapping[str, Any], episodes: Episodes) -> tuple[Tensor, Any]:
        """The same where `logits` gives None: what a model says of the queries of a batch that is an episode after it learned
        from the support, and its outputs for them."""
        raise NotImplementedError(f"{self.name} does not learn from episodes")

    @property
    def together(self) -> int:
        """How many rows of a class come to a batch at once; 0 where that does not matter."""
        return 0

    @property
    def looks_inside(self) -> bool:
        """Whether it reads what the blocks of the model hand on, not its answers alone."""
        return False

    @property
    def entries(self) -> Sequence[str]:
        """The names of what it stores of rows and finds in its batches."""
        return ()

    def signature(self) -> str:
        """A hash of what it reads outside of the recipe."""
        return ""

    def release(self, model: PreTrainedModel) -> None:
        """Take from a trained model what was added to it for the training alone."""
        return None
