"""The loss of a distillation: what the student says of a batch, beside what the teacher said or says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from hfrecipes.entries import bring
from hfrecipes.errors import RecipeError
from hfrecipes.family import shape, stacks
from hfrecipes.objectives._answers import counts, read, shifts
from hfrecipes.objectives._on_policy import written
from hfrecipes.objectives._quantized import Quantized
from hfrecipes.objectives._teacher import ENTRY, STATES, Teacher
from hfrecipes.objectives._views import View, Watched, masks
from hfrecipes.tasks import IGNORED, UNLABELLED

if TYPE_CHECKING:
    from hfrecipes.losses import Loss
    from hfrecipes.objectives import Training
    from hfrecipes.objectives.distill import Distill

log = logging.getLogger("hfrecipes")
PROJECTION = "distill_"
"""What the names of layers begin with that turn the student's states into the teacher's; they learn along and are not kept."""


class Progress(TrainerCallback):
    """The share of the training that is done, and what happens before it."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin, self.share = begin, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.begin()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by the Trainer."""
        self.share = state.global_step / max(1, state.max_steps)


class Lesson:
    """`distill` for one training."""

    def __init__(self, asked: Distill, training: Training) -> None:
        self.asked, self.training = asked, training
        self.model: Any = training.model
        self.task, self.family = training.task, training.family
        self.shifted, self.writes = shifts(self.model, self.family), self.model.can_generate()
        self.teacher = Teacher(asked.teacher, training)
        self.k = self._check()
        self._watch()
        self.quantized = Quantized(self.model) if asked.quantized else None
        self.progress = Progress(self._bring)
        training.callbacks.append(self.progress)

    def _bring(self) -> None:
        """Bring the teacher's answers to each row, where they can be stored; then it is not needed any more."""
        if reason := self._reason():
            log.info("the teacher answers at every step: %s", reason)
        elif (rows := self.training.rows) is not None:
            spaces = self.teacher.spaces(self.asked.teacher, self.k, self.its.stored if self.its else [])
            compute = lambda rows, names: self.teacher.compute(rows, names, self.k, self.its)  # noqa: E731
            rows.stored |= bring(rows, spaces, compute, self.teacher.columns())
            self.teacher.models.clear()
            if self.its:
                self.its.blocks.clear()

    def __call__(self, model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
        told = {name: batch[name] for name in (ENTRY, STATES) if name in batch}
        batch = {name: tensor for name, tensor in batch.items() if name not in told}
        if self.quantized:
            self.quantized.read(batch)
        if not model.training:
            return self.task.loss(model, batch)
        own = self.asked.on_policy > 0 and float(torch.rand(())) < self.asked.on_policy
        if own:
            batch = written(self.model, self.family, batch)
            if self.quantized:
                self.quantized.read(batch)
        with self.mine.view() if self.mine else nullcontext(View()) as seen:
            hard, outputs = self._student(model, batch)
            seen.answered(outputs)
        said, shown = self._told(told) if told else self._said(batch)
        terms = [self._term(loss, i, batch, (outputs, seen), (said, shown)) for i, loss in enumerate(self.asked.losses)]
        total: Tensor = self.asked.weigh(terms, 0.0 if own else hard, self.progress.share)
        return total, outputs

    def _student(self, model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
        """The task's own loss, to which items without a label add nothing, and the student's outputs."""
        labels, options = batch.get("labels"), self.mine.options if self.mine else {}
        if labels is None or labels.is_floating_point() or not bool((labels == UNLABELLED).any()):
            return self.task.loss(model, {**batch, **options})
        outputs = model(**read(self.model, self.family, batch), **options)
        items = self.task.items(outputs, batch, self.model.config, self.shifted).float()
        wanted = labels[labels != IGNORED]
        return cross_entropy(items, wanted, ignore_index=UNLABELLED, reduction="sum") / len(wanted), outputs

    def _said(self, batch: Mapping[str, Any]) -> tuple[Any, View]:
        """What the teacher says now; with `top_k` the likeliest choices."""
        with self.its.view() if self.its else nullcontext(View()) as shown:
            said = self.teacher.answer(batch, **(self.its.options if self.its else {}))
            shown.answered(said)
        return said if self.k is None else SimpleNamespace(logits=self.teacher.likeliest(said, self.k)), shown

    def _told(self, stored: Mapping[str, Tensor]) -> tuple[Any, View]:
        """What the teacher said."""
        shown = View.parted(stored[STATES], self.its.stored) if self.its else View()
        return self.teacher.restored(stored[ENTRY]), shown

    def _term(self, loss: Loss, number: int, batch: Mapping[str, Any], mine: tuple[Any, View], its: tuple[Any, View]) -> Tensor:
        """One loss over a batch: the mean over its items; what is compared by row counts for all items of the row."""
        if not loss.inside:
            a, b = (self.task.items(side[0], batch, self.model.config, self.shifted) for side in (mine, its))
            each = loss(a, b, batch["attention_mask"])
            return each.reshape(len(each), -1).mean(-1).sum() / max(1, len(each))
        found = []
        for i, pair in enumerate(self.pairs[number] or [(1, 1)]):
            a, b = (side[1].of(loss.reads, block) for side, block in zip((mine, its), pair, strict=True))
            if loss.reads in ("states", "embeddings") and a.shape[-1] != b.shape[-1]:
                a = self.model.get_submodule(f"{PROJECTION}{number}_{i}")(a.float())
            found.append(loss(a, b, masks(batch, self.stacks, pair[0], self.writes)))
        each = torch.stack(found).mean(0)
        weights = counts(batch, self.shifted).to(each.dtype)
        return (each.view(-1, len(weights)).mean(0) * weights).sum() / weights.sum().clamp(min=1)

    def _check(self) -> int | None:
        """Refuse losses that cannot be taken; gives how many choices of the teacher are enough for them, None for all."""
        where = f"objective.{self.asked.name}"
        config = self.model.config
        number = self.task.outputs == ("last_hidden_state",) or config.problem_type == "regression"
        for loss in self.asked.losses:
            if number and not loss.inside and not loss.of_numbers:
                raise RecipeError(f"{where}.losses.{loss.name}", "compares chances, and a number has none", "Take soft_targets")
        if self.asked.on_policy and not self.writes:
            raise RecipeError(f"{where}.on_policy", f"a model for {self.task.name} writes nothing", "Leave it out")
        if self.asked.quantized and not all(weight.requires_grad for weight in self.model.parameters()):
            raise RecipeError(f"{where}.quantized", "rounds what does not learn, too", "Take `strategy: full`, or leave it out")
        lost = {str(loss.reads) for loss in self.asked.losses if loss.inside} - {"states", "embeddings"}
        if self.asked.cached == "states" and (lost or self.family.architecture == "encoder-decoder"):
            what = f"keeps no {min(lost)}" if lost else "keeps states of one stack, and there are two"
            raise RecipeError(f"{where}.cached", what, "Write `cached: false`: the teacher answers at every step")
        if len(self.asked.teacher) > 1 and self.asked.looks_inside:
            raise RecipeError(f"{where}.losses", "of several teachers only the answers have a mean", "Name one teacher")
        wanted = {loss.likeliest for loss in self.asked.losses if not loss.inside}
        if len(wanted) > 1:
            what = "top_k keeps the teacher's likeliest choices, and another loss reads others"
            raise RecipeError(f"{where}.losses", what, "Write one of them")
        k = next(iter(wanted), None)
        if k is not None and k > (most := config.get_text_config().vocab_size if self.writes else config.num_labels):
            raise RecipeError(f"{where}.losses.top_k.k", f"is {k}, and there are {most} choices", "Write less")
        return k

    def _watch(self) -> None:
        """Make ready what losses over the inside of models need: hooks, and layers between other widths."""
        teacher = self.teacher.models[0]
        self.stacks = stacks(self.model)
        self.pairs = [loss.pairs(self.stacks, stacks(teacher)) for loss in self.asked.losses]
        reads = {str(loss.reads) for loss in self.asked.losses if loss.inside}
        self.mine = self.its = None
        if not reads:
            return
        mine, its = shape(self.model.config), shape(teacher.config)
        for number, loss in enumerate(self.asked.losses):
            loss.check(mine, its)
            if loss.reads in ("states", "embeddings") and mine["hidden_size"] != its["hidden_size"]:
                for i in range(len(self.pairs[number]) or 1):
                    layer = Linear(mine["hidden_size"], its["hidden_size"], bias=False)
                    self.model.add_module(f"{PROJECTION}{number}_{i}", layer)
        blocks = [pair for pairs in self.pairs for pair in pairs]
        self.mine = Watched(self.model, reads, {mine for mine, _ in blocks})
        self.its = Watched(teacher, reads, {its for _, its in blocks})

    def _reason(self) -> str:
        """Why the teacher's answers cannot be stored; nothing where they can."""
        if not self.asked.cached:
            return "`cached: false`"
        if self.asked.on_policy:
            return "what the student writes itself is new each time"
        if self.mine and self.asked.cached != "states":
            return "more than its answers is compared (`cached: states` stores states, too)"
        if not self.task.reads_as_encoded:
            return f"{self.task.name} changes its rows at every step"
        return "answers over a whole vocabulary are large, take top_k" if self.writes and self.k is None else ""
