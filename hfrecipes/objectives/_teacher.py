"""The teacher of a distillation: one model, or the mean of several, whose answers are computed once and stored."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from hfrecipes.entries import READ, budgeted, numbers
from hfrecipes.errors import ModelError, blamed
from hfrecipes.feature_store import Space, home
from hfrecipes.first_token import FirstToken
from hfrecipes.folder import read_json
from hfrecipes.models import Model, label_order, load_config, load_model
from hfrecipes.objectives._answers import read
from hfrecipes.objectives._views import View, Watched
from hfrecipes.tasks import Task
from hfrecipes.tokens import Tokens

if TYPE_CHECKING:
    from hfrecipes.objectives import Training

WHERE = "objective.distill.teacher"
ENTRY, STATES = "teacher", "teacher_states"
"""The entries of a row and of a batch that hold the teacher's answer, and the states behind its blocks."""
MOST = 65504.0
"""The largest number of 16 bits."""
UNLIKELY = -1e3
"""The logit of a token that a teacher does not have."""


class Teacher:
    """Models in evaluation that learn nothing. Raises ModelError where they do another task, know other labels, or read other
    tokens than the student."""

    def __init__(self, models: Sequence[Model], training: Training) -> None:
        self.training = training
        self.head = training.task.heads[training.family.architecture]
        self.models = [self._open(model) for model in models]
        self.ids = [self._ids(model) for model in models]
        self.orders = [self._order(model.config, given) for model, given in zip(self.models, models, strict=True)]
        self.reads = [set(inspect.signature(model.forward).parameters) for model in self.models]
        for model in self.models:
            FirstToken(model).begin()
        self.by_row = self.head == "text-classification"
        self.writes = training.model.can_generate()
        self.over_tokens = self.writes or self.head == "fill-mask"

    def answer(self, batch: Mapping[str, Any], **options: Any) -> Any:
        """The answers to a batch, with the labels in the student's order; of several models the mean of their chances. What a
        single model says beside its answers is kept."""
        device = next(self.models[0].parameters()).device
        found = []
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=self.training.bf16):
            for model, known, ids in zip(self.models, self.reads, self.ids, strict=True):
                asked = batch if ids is None else translated(batch, ids, self.writes)
                inputs = {n: t.to(device) for n, t in read(model, self.training.family, asked).items() if n in known}
                outputs = model(**inputs, **options)
                if self.over_tokens:
                    outputs.logits = self._fitted(outputs.logits, ids)
                found.append(outputs)
        for outputs, order in zip(found, self.orders, strict=True):
            if order is not None:
                outputs.logits = outputs.logits[..., order]
        if not all(bool(torch.isfinite(getattr(outputs, name)).all()) for outputs in found for name in self.names):
            raise ModelError(WHERE, f"{self.training.task.name}: an answer is not a finite number", "Train the teacher anew")
        return found[0] if len(found) == 1 else self._mean(found)

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that an answer is made of."""
        return ("logits",) if self.writes else self.training.task.outputs

    def spaces(self, models: Sequence[Model], k: int | None, states: Sequence[int]) -> dict[str, Space]:
        """The parts of the store for these answers (all, or the `k` likeliest) and for the states behind these blocks."""
        answers = 2 * k if k else len(self.names) if len(self.names) > 1 else self.models[0].config.num_labels
        said = [
            self.training.task.name,
            str(self.training.bf16),
            *(model.fingerprint() for model in models),
            *map(str, self.orders),
            *("" if ids is None else hashlib.sha256(ids.numpy().tobytes()).hexdigest() for ids in self.ids),
        ]

        def space(kept: str, width: int, dtype: str) -> Space:
            digest = hashlib.sha256("\n".join([*said, kept]).encode()).hexdigest()
            return Space(home() / digest[:32], width, dtype)

        found = {ENTRY: space(str(k), answers, "float32")}
        if states:
            units = self.models[0].config.get_text_config().hidden_size
            found[STATES] = space(f"states {states}", units * len(states), "float16")
        return found

    def columns(self) -> tuple[str, ...]:
        """What tells rows apart: a decoder beside an encoder reads the labels."""
        return (*READ, "labels") if self.writes and self.training.family.architecture == "encoder-decoder" else READ

    def compute(
        self, rows: Sequence[Any], names: Sequence[str], k: int | None, watched: Watched | None
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """The position of a row and what is stored of it under each of the names, in one pass over the rows sorted by length."""
        assert self.training.collate is not None
        longer = self.columns() != READ
        lengths = [len(row["labels" if longer else "input_ids"]) for row in rows]
        left = self.training.family.architecture == "decoder"
        with tqdm(total=len(rows), desc="answers of the teacher", disable=None, leave=False) as bar:
            for chosen in budgeted([len(row["input_ids"]) for row in rows]):
                with watched.view() if watched else nullcontext(View()) as seen:
                    outputs = self.answer(self.training.collate([rows[i] for i in chosen]))
                found = {ENTRY: numbers(self.likeliest(outputs, k) if k else self._stacked(outputs), False)}
                if watched and STATES in names:
                    found[STATES] = seen.joined(watched.stored).clamp(-MOST, MOST).half().cpu().numpy()
                for line, i in enumerate(chosen):
                    tokens = slice(-lengths[i], None) if left else slice(0, lengths[i])
                    here = {ENTRY: slice(0, 1) if self.by_row else tokens, STATES: tokens}
                    yield i, [found[name][line, here[name]] for name in names]
                bar.update(len(chosen))

    def likeliest(self, outputs: Any, k: int) -> torch.Tensor:
        """The ids of the `k` likeliest choices at each token, and the logarithms of their chances: (rows, tokens, 2 k)."""
        logs, ids = outputs.logits.float().log_softmax(-1).topk(k)
        return torch.cat([ids.float(), logs], -1)

    def restored(self, stored: torch.Tensor) -> Any:
        """Answers as the model gave them, from what was stored: (rows, tokens or 1, width)."""
        if len(self.names) > 1:
            return SimpleNamespace(**{name: stored[..., i] for i, name in enumerate(self.names)})
        return SimpleNamespace(logits=stored[:, 0] if self.by_row else stored)

    def _fitted(self, logits: torch.Tensor, ids: torch.Tensor | None) -> torch.Tensor:
        """The logits of the student's tokens. Embeddings often have rows that no token has: of those, models may have more or
        less, and what the teacher does not have is unlikely."""
        if ids is not None:
            logits = logits[..., ids.to(logits.device)]
        more = self.training.model.config.get_text_config().vocab_size - logits.shape[-1]
        return torch.nn.functional.pad(logits, (0, more), value=UNLIKELY) if more > 0 else logits[..., : logits.shape[-1] + more]

    def _stacked(self, outputs: Any) -> torch.Tensor:
        if len(self.names) > 1:
            return torch.stack([getattr(outputs, name) for name in self.names], -1)
        logits: torch.Tensor = outputs.logits
        return logits[:, None] if self.by_row else logits

    def _mean(self, found: Sequence[Any]) -> Any:
        """The answer whose chances are the mean of those of several."""
        kind = self.training.model.config.problem_type if self.by_row else None
        mixed = {}
        for name in self.names:
            every = torch.stack([getattr(outputs, name).float() for outputs in found])
            if kind == "regression":
                mixed[name] = every.mean(0)
            elif kind == "multi_label_classification":
                mixed[name] = every.sigmoid().mean(0).logit(eps=1e-6)
            else:
                mixed[name] = every.log_softmax(-1).exp().mean(0).clamp(min=1e-9).log()
        return SimpleNamespace(**mixed)

    @blamed(WHERE)
    def _open(self, given: Model) -> Any:
        """One teacher, checked against the student."""
        config = load_config(given)
        folder = Path(given.locate())
        said = folder / "task.json"
        if said.is_file():
            task = read_json(said)["task"]
            name = task if isinstance(task, str) else next(iter(task))
            if name != self.training.task.name:
                raise ModelError(WHERE, f"{given.label} does {name}", f"Give one that does {self.training.task.name}")
            its, mine = Task.choose(task).pattern, self.training.task.pattern
            if (its and its.text) != (mine and mine.text):
                what = f"{given.label} reads {its.text if its else 'texts as they are'}, and the student something else"
                raise ModelError(WHERE, what, "Write the same `pattern` for both, or none")
        model: Any = load_model(given, self.head, config, whole=self.head != "feature-extraction")
        return model.eval().requires_grad_(False).to(self.training.device)

    def _ids(self, given: Model) -> torch.Tensor | None:
        """The teacher's id of each of the student's tokens; None where they are the same, or one of both is not at hand."""
        folder, tokens = Path(given.locate()), self.training.tokens
        return ids_of(Tokens.open(folder, None, None), tokens, given.label) if tokens is not None and folder.is_dir() else None

    def _order(self, config: Any, given: Model) -> list[int] | None:
        """Where the student's labels stand among the teacher's; None where they stand alike, or where there are none."""
        student: Any = self.training.model.config
        if self.head not in ("text-classification", "token-classification") or student.problem_type == "regression":
            return None
        said, instead = f"{given.label} and the student", "Train the teacher on rows of the same labels"
        order = label_order(student, config, said, WHERE, instead)
        return None if order == list(range(len(order))) else order


def translated(batch: Mapping[str, Any], ids: torch.Tensor, writes: bool) -> dict[str, Any]:
    """A batch with the teacher's ids in the place of the student's, in what is read and in what is written."""
    names = ("input_ids", "labels") if writes else ("input_ids",)
    found = dict(batch)
    for name in names:
        found[name] = torch.where(batch[name] < 0, batch[name], ids.to(batch[name].device)[batch[name].clamp(min=0)])
    return found


def ids_of(teacher: Tokens, student: Tokens, label: str) -> torch.Tensor | None:
    """The teacher's id of each of the student's tokens; None where they are the same. Raises ModelError where the teacher does
    not know them all."""
    its, mine = (tokens.tokenizer.get_vocab() for tokens in (teacher, student))
    if its == mine:
        return None
    if unknown := sorted(set(mine) - set(its)):
        what = f"{label} reads {len(its):,} tokens, and {len(unknown):,} of the student's {len(mine):,} are not among them"
        raise ModelError(WHERE, what, "Make the student from its teacher: `model: {path: TEACHER, layers: 3}`")
    return torch.tensor([its[name] for name, _ in sorted(mine.items(), key=lambda entry: entry[1])])
