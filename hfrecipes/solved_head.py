"""Solved head: the last layer of a classifier as the regression over what the frozen rest says, before the first step.

Where nothing below the last layer moves, what it learns is a convex problem, which L-BFGS ends in tens of passes over stored
vectors, and AdamW in hundreds of steps (the linear probe of Radford et al. 2021, arXiv:2103.00020, appendix A.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import TrainerCallback

from hfrecipes.entries import rows_at
from hfrecipes.family import blocks
from hfrecipes.features import STATES, Frozen
from hfrecipes.heads import last_layer

if TYPE_CHECKING:
    from torch.nn import Linear
    from transformers import TrainingArguments

    from hfrecipes.entries import Collate, WithEntries
    from hfrecipes.first_token import FirstToken

ROWS = 512
"""Rows of stored states that the head reads at once."""
SHRINKAGE = 0.3
"""How much of the mean variance is added to that of each direction: a few rows a class say little of it."""
PENALTIES = (0.01, 0.1, 1.0)
"""How much large weights are let be, as scikit-learn's `C`: with 1, hard tasks with few rows are learnt by heart."""
ITERATIONS = 50
EVEN = 16
"""Labels are filled up to a multiple of so many while their weights are sought: products for 77 take 1.5 times those for 80."""
ENOUGH = 1e-3
"""A pass that lowers the loss by less is the last one; where weights are penalised more, and losses are larger, one by more."""
LOSSES: dict[str | None, Callable[[Tensor, Tensor], Tensor]] = {
    "multi_label_classification": functional.binary_cross_entropy_with_logits,
    "regression": functional.mse_loss,
}
"""By the `problem_type` of a configuration; of others it is the cross-entropy."""


class SolvedHead(TrainerCallback):
    """Puts the last layer where the loss of the labels over the training rows is least, the rest of the model as it is and
    without dropout: once, before the first step. How much large weights are penalised is chosen on the rows `held` out. What an
    objective adds to the labels is left out.

    `collate` makes a batch of rows, padded on the `left` if so; what the blocks say of them is computed and stored in `bf16` if
    so, and of the first token alone where `first` is given. In a Trainer of one's own:
    `callbacks=[SolvedHead(model, WithEntries(rows), WithEntries(held), collate)]`.
    """

    def __init__(
        self,
        model: Any,
        rows: WithEntries,
        held: WithEntries,
        collate: Collate,
        left: bool = False,
        bf16: bool = False,
        first: FirstToken | None = None,
    ) -> None:
        self.model, self.rows, self.held = model, rows, held
        self.layer: Linear = model.get_submodule(last_layer(model))
        self.frozen = Frozen(model, lambda _: len(blocks(model)), 1, collate, left, bf16, first)
        self.frozen.watch(rows)
        self.frozen.watch(held)

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer. A training that goes on has its head."""
        if state.global_step:
            return
        config, biased = self.model.config, self.layer.bias is not None
        self.frozen.begin(0)
        try:
            vectors, labels, noise = self.read(self.rows, dropout=state.max_steps > 0)
            held = self.read(self.held, dropout=False)[:2]
        finally:
            self.frozen.end()
        weight, bias = solve(vectors, labels, held, config, biased, noise)
        with torch.no_grad():
            self.layer.weight.copy_(weight)
            if bias is not None:
                self.layer.bias.copy_(bias)

    def read(self, split: WithEntries, dropout: bool) -> tuple[Tensor, Tensor, Tensor]:
        """What the last layer reads of each item that has a label, of shape (items, units), the labels, and the variance that
        `dropout` gives to each unit in steps to come."""
        found: list[tuple[Tensor, Tensor]] = []
        noise = torch.zeros_like(self.layer.weight[0])
        device, training = self.layer.weight.device, self.model.training
        try:
            with torch.no_grad(), _silent(self.layer), torch.random.fork_rng([device] if device.type == "cuda" else []):
                for batch in self._batches(split):
                    labels = batch.pop("labels")
                    vectors = self._said(batch, training=False)
                    there = labels.reshape(len(labels), -1)[:, 0] != -100 if vectors.ndim == 2 else labels != -100
                    found.append((vectors[there], labels[there]))
                    if dropout:
                        noise += (self._said(batch, training=True) - vectors)[there].square().sum(dim=0)
        finally:
            self.model.train(training)
        vectors, labels = (torch.cat(parts) for parts in zip(*found, strict=True))
        return vectors, labels, noise / len(vectors)

    def _said(self, batch: dict[str, Tensor], training: bool) -> Tensor:
        """What the last layer reads of a batch."""
        self.model.train(training)
        inputs, states = {name: tensor for name, tensor in batch.items() if name != STATES}, batch[STATES]
        if self.frozen.alone is not None:  # a mask over whole rows is a tenth of what all this takes
            inputs = {name: tensor[:, :1] for name, tensor in inputs.items()}
        with (
            self.frozen.prefix.resumed(states),
            torch.autocast(states.device.type, torch.bfloat16, enabled=self.frozen.bf16),
        ):
            vectors: Tensor = self.model(**inputs).logits
        return vectors.float()

    def _batches(self, split: WithEntries) -> Iterator[dict[str, Tensor]]:
        """The rows of a split with their states, sorted by length."""
        collate = self.frozen.batch()
        _, begins, ends = split.stored[STATES].where.T
        order = np.argsort(ends - begins, kind="stable")
        for begin in range(0, len(order), ROWS):
            chosen = order[begin : begin + ROWS].tolist()
            rows = zip(rows_at(split.single, chosen), chosen, strict=True)
            batch = collate([{**row, **split.entries(i)} for row, i in rows])
            yield {name: tensor.to(self.layer.weight.device) for name, tensor in batch.items()}


def solve(
    vectors: Tensor, labels: Tensor, held: tuple[Tensor, Tensor], config: Any, biased: bool, noise: Tensor | float = 0.0
) -> tuple[Tensor, Tensor | None]:
    """The weight (labels, units) and the bias of the layer whose logits of `vectors` (items, units) have the least loss.

    The penalty is scikit-learn's for one of `PENALTIES` over vectors that spread alike in all directions within a class (Hatch et
    al. 2006, within-class covariance normalization), over all for other problems than one class an item: the one with the least
    loss over what is `held` out, each beginning where the one before it ended. `noise` is a variance that units have beside that,
    as dropout gives (Wager et al. 2013, arXiv:1307.1493).
    """
    loss = LOSSES.get(config.problem_type or ("regression" if config.num_labels == 1 else None), functional.cross_entropy)
    single = loss is functional.cross_entropy
    center = vectors.mean(dim=0) if biased else vectors.new_zeros(vectors.shape[1])
    around = vectors - center
    rest = around - _class_means(around, labels, config.num_labels)[labels] if single else around
    spread = rest.T @ rest / len(rest)
    spread.diagonal().add_(SHRINKAGE * around.square().mean() + noise + torch.finfo(spread.dtype).tiny)
    factor = torch.linalg.cholesky(spread)
    even = torch.linalg.solve_triangular(factor, torch.eye(len(factor), device=factor.device), upper=False).T
    inputs, unseen = around @ even, (held[0] - center) @ even
    targets, wanted = (t if single else t.float().reshape(len(t), -1) for t in (labels, held[1]))

    rows = config.num_labels + -config.num_labels % EVEN
    weight = vectors.new_zeros(rows, vectors.shape[1], requires_grad=True)
    bias = vectors.new_zeros(rows, requires_grad=biased)

    def logits(of: Tensor) -> Tensor:
        return functional.linear(of, weight, bias)[:, : config.num_labels].contiguous()

    best, least = (weight, bias), float("inf")
    for penalty in PENALTIES:

        def penalised(c: float = penalty) -> Tensor:
            return loss(logits(inputs), targets) + weight.square().sum() / (2 * c * len(inputs))

        _minimize(penalised, ENOUGH / math.sqrt(penalty), weight, bias)
        with torch.no_grad():
            found = float(loss(logits(unseen), wanted)) if len(unseen) else least
        if found > least:
            break
        best, least = (weight.detach().clone(), bias.detach().clone()), found
    weight, bias = best[0][: config.num_labels] @ even.T, best[1][: config.num_labels]
    return weight, bias - weight @ center if biased else None


def _minimize(loss: Callable[[], Tensor], enough: float, *weights: Tensor) -> None:
    """Change the weights that can change to where a loss is least, up to a pass that lowers it by less than `enough`."""
    free = [each for each in weights if each.requires_grad]
    optimizer = torch.optim.LBFGS(
        free, max_iter=ITERATIONS, tolerance_change=enough, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        return found

    with torch.enable_grad():
        optimizer.step(closure)


def _class_means(vectors: Tensor, labels: Tensor, classes: int) -> Tensor:
    sums = vectors.new_zeros(classes, vectors.shape[1]).index_add_(0, labels, vectors)
    return sums / labels.bincount(minlength=classes).clamp(min=1)[:, None]


@contextmanager
def _silent(layer: Linear) -> Iterator[None]:
    """Inside, the layer gives what it is given: then the model picks and hands out what the layer reads."""
    layer.forward = torch.nn.Identity().forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del layer.forward
