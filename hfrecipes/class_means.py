"""Class means: where the points of a prototype head are, whatever a model is trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from hfrecipes.entries import budgeted
from hfrecipes.errors import RecipeError
from hfrecipes.heads._layers import Prototypes

if TYPE_CHECKING:
    from hfrecipes.objectives import Training


class ClassMeans(TrainerCallback):
    """Puts the mean embedding of the rows of each class into a prototype head: before the first step, so that the head need not
    be found from chance, and behind the last, so that a class that is added later is at home among them. A class without rows to
    learn from, as episodes have it, takes those held out."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.layers = [layer for layer in training.model.modules() if isinstance(layer, Prototypes)]
        if self.layers and training.model.config.problem_type != "single_label_classification":
            raise RecipeError(
                "head.prototype", "has a point for each class, and rows have not one class each here", "Take linear"
            )

    def on_init_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer, before anything begins. Episodes have points of their own."""
        if self.training.episodes is None:
            self.put()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer, once it has gone back to the best epoch."""
        if any(layer.means for layer in self.layers):
            self.put()

    @torch.no_grad()
    def put(self) -> None:
        """Put the means into the head."""
        if not self.layers:
            return
        was = self.training.model.training
        self.training.model.eval()
        missing = torch.ones(len(self.layers[0].weight), dtype=torch.bool, device=self.layers[0].weight.device)
        for split in (self.training.rows, self.training.held):
            if split is not None and missing.any():
                means, there = self.means(split.single)
                for layer in self.layers:
                    layer.weight[there & missing] = means[there & missing].to(layer.weight.dtype)
                missing &= ~there
        self.training.model.train(was)

    def means(self, rows: Any) -> tuple[Tensor, Tensor]:
        """The mean embedding of the rows of each class, and which classes have rows."""
        model, collate = self.training.model, self.training.collate
        assert collate is not None
        weight = self.layers[0].weight
        sums, counts = torch.zeros_like(weight, dtype=torch.float32), torch.zeros(len(weight), device=weight.device)
        for some in budgeted([len(ids) for ids in rows["input_ids"]]):
            batch = {name: tensor.to(weight.device) for name, tensor in collate([rows[i] for i in some]).items()}
            with torch.autocast(weight.device.type, torch.bfloat16, enabled=self.training.bf16):
                outputs = model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
            embeddings = outputs.embeddings.float()
            known = batch["labels"] >= 0
            sums.index_add_(0, batch["labels"][known], embeddings[known])
            counts += batch["labels"][known].bincount(minlength=len(weight))
        return sums / counts.clamp(min=1)[:, None], counts > 0
