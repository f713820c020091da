"""Optimizer: how a gradient becomes a step. Each knows the learning rates that are usual for it."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from hfrecipes.part import Part

if TYPE_CHECKING:
    from torch.optim import Optimizer as TorchOptimizer

Groups = list[dict[str, Any]]
"""Groups of parameters as torch takes them, each with its `lr` and `weight_decay`."""


class Optimizer(Part, kind="optimizers"):
    """Base of optimizers. The learning rate and the weight decay stand in `train:`, as ever.

    `usual` are the lowest and the highest learning rate that are usual for full fine-tuning, by `source`; `mechanism` and
    `best_for` say in a few words what it does and when to take it.
    """

    usual: ClassVar[tuple[float, float]]
    source: ClassVar[str]
    mechanism: ClassVar[str]
    best_for: ClassVar[str]

    @abstractmethod
    def build(self, groups: Groups) -> TorchOptimizer:
        """The optimizer of torch over the groups."""
