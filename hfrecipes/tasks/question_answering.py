"""question-answering: the span of a context that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from hfrecipes.columns import Column
from hfrecipes.errors import DataError
from hfrecipes.family import Architecture
from hfrecipes.metrics.squad import Squad
from hfrecipes.part import value
from hfrecipes.tasks import Features, Row, Task, Window
from hfrecipes.tasks._question import COLUMNS, question_and_context

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Encoding
    from torch import Tensor

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

CANDIDATES = 20
PADDED = -1e9
"""The logit of padding."""
"""The best starts and ends that are paired."""


@dataclass(frozen=True)
class Answer:
    """The answer: characters `start` to `end` (exclusive) of the context, and its probability among all spans that were
    weighed. An empty text means that the context does not answer the question."""

    text: str
    start: int
    end: int
    score: float

    def __str__(self) -> str:
        return f"{self.score:.4f}\t{self.text}"


@value
class QuestionAnswering(Task):
    """The span of a context that answers a question, in SQuAD's form (Rajpurkar et al. 2016, arXiv:1606.05250).

    A context that is too long is read in windows that share `stride` tokens. `max_answer_length` counts tokens. Where training
    rows have no answer, the model learns to say so (Rajpurkar et al. 2018, arXiv:1806.03822): an answer is given when its
    score exceeds that of no answer by more than `null_threshold` (in logits).
    """

    max_length: Annotated[int, Field(gt=8)] | None = 384
    stride: Annotated[int, Field(ge=0)] = 128
    max_answer_length: Annotated[int, Field(gt=0)] = 30
    null_threshold: float = 0.0

    heads: ClassVar[Mapping[Architecture, str]] = {"encoder": "question-answering"}
    columns: ClassVar[Mapping[str, Column]] = COLUMNS
    outputs: ClassVar[tuple[str, ...]] = ("start_logits", "end_logits")
    per_token: ClassVar[bool] = True

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        for row in rows:
            if not isinstance(row["answers"], Mapping) or not {"text", "answer_start"} <= set(row["answers"]):
                raise DataError("data.answers", "is not in SQuAD's form", "Write {text: [...], answer_start: [...]}")
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                if row["context"][start : start + len(text)] != text:
                    raise DataError(
                        "data.answers",
                        f"'{text:.40}' does not stand at character {start} of its context '{row['context']:.40}'",
                        "Count characters from 0",
                    )
        return {"null_answers": any(not answers["text"] for answers in rows["answers"])}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        return [features for features, _ in self._read(rows, tokens)]

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        found = []
        for features, encoding in self._read(rows, tokens):
            start, end = _target(rows[features["row"]]["answers"], features, encoding)
            found.append({**features, "start_positions": start, "end_positions": end})
        return found

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        batch = tokens.collate(features)
        for name in ("start_positions", "end_positions"):
            if name in features[0]:
                batch[name] = np.array([f[name] for f in features], dtype=np.int64)
        if "start_positions" in batch:
            batch["labels"] = batch["start_positions"]
        return batch

    def loss(self, model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
        """The mean of the cross-entropies of both ends. Padding is left out: the model's own loss lets it count, so that a row
        would weigh more in a batch of longer ones."""
        from torch.nn import functional

        targets = ("labels", "start_positions", "end_positions")
        outputs = model(**{name: tensor for name, tensor in batch.items() if name not in targets})
        padding = batch["attention_mask"] == 0
        ends = ((outputs.start_logits, batch["start_positions"]), (outputs.end_logits, batch["end_positions"]))
        losses = [functional.cross_entropy(logits.masked_fill(padding, float("-inf")), wanted) for logits, wanted in ends]
        return (losses[0] + losses[1]) / 2, outputs

    def items(self, outputs: Any, batch: Mapping[str, Any], config: Any, shifted: bool) -> Tensor:
        """For each row both of its ends: (rows, 2, tokens). Padding gets a logit that stays finite at any temperature."""
        import torch

        ends = torch.stack([outputs.start_logits, outputs.end_logits], dim=1).float()
        return ends.masked_fill(batch["attention_mask"][:, None] == 0, PADDED)

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Answer:
        candidates: list[tuple[float, int, int]] = []
        null = min(float(w.outputs["start_logits"][0] + w.outputs["end_logits"][0]) for w in windows)
        for window in windows:
            candidates += self._spans(window)
        if config.get("null_answers"):
            candidates.append((null, 0, 0))
        if not candidates:
            return Answer("", 0, 0, 0.0)
        logits = np.array([score for score, _, _ in candidates])
        shares = np.exp(logits - logits.max())
        best = int(logits.argmax())
        if config.get("null_answers") and candidates[best][0] - null <= self.null_threshold:
            best = len(candidates) - 1
        _, start, end = candidates[best]
        return Answer(row["context"][start:end], start, end, float(shares[best] / shares.sum()))

    def row(self, given: Any) -> Row:
        return question_and_context(given)

    def prediction(self, answer: Answer, config: Mapping[str, Any]) -> str:
        return answer.text

    def reference(self, row: Row, config: Mapping[str, Any]) -> list[str]:
        return list(row["answers"]["text"])

    def graded(
        self, outputs: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Both ends, of all tokens that are no padding."""
        if self.null_threshold != 0:
            return []
        hidden = np.where(batch["attention_mask"] == 0, -1e9, 0.0)
        return [(outputs[f"{end}_logits"] + hidden, batch[f"{end}_positions"]) for end in ("start", "end")]

    def confidences(self, answer: Answer) -> list[float]:
        return [answer.score]

    def right(self, answer: Answer, row: Row, config: Mapping[str, Any]) -> list[bool]:
        """One of the row's answers but for case, articles and punctuation, as SQuAD's exact match has it."""
        return [Squad().score([answer.text], [self.reference(row, config)])["squad_em"] > 0]

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Squad(),)

    def _read(self, rows: Sequence[Row], tokens: Tokens) -> list[tuple[Features, Encoding]]:
        found = []
        read = tokens.windows([row["question"] for row in rows], [row["context"] for row in rows], self.stride)
        for i, encodings in enumerate(read):
            for encoding in encodings:
                inside = [part == 1 for part in encoding.sequence_ids]
                begins = [a if ok else -1 for (a, _), ok in zip(encoding.offsets, inside, strict=True)]
                ends = [b if ok else -1 for (_, b), ok in zip(encoding.offsets, inside, strict=True)]
                found.append(({**tokens.features(encoding), "row": i, "begins": begins, "ends": ends}, encoding))
        return found

    def _spans(self, window: Window) -> list[tuple[float, int, int]]:
        """Score, first and last character of the best spans of a window."""
        begins, ends = np.array(window.features["begins"]), np.array(window.features["ends"])
        inside = begins >= 0
        starts = np.where(inside, window.outputs["start_logits"], -np.inf)
        stops = np.where(inside, window.outputs["end_logits"], -np.inf)
        found = []
        for i in np.argsort(-starts)[:CANDIDATES]:
            for j in np.argsort(-stops)[:CANDIDATES]:
                if inside[i] and inside[j] and i <= j < i + self.max_answer_length:
                    found.append((float(starts[i] + stops[j]), int(begins[i]), int(ends[j])))
        return found


def _target(answers: Mapping[str, Any], features: Features, encoding: Encoding) -> tuple[int, int]:
    """The positions of the first and the last token of the answer; (0, 0), the first special token, where the window does
    not hold it whole."""
    if not answers["text"]:
        return 0, 0
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    first = next((i for i, (a, b) in enumerate(zip(features["begins"], features["ends"], strict=True)) if a <= start < b), None)
    last = next((i for i, (a, b) in enumerate(zip(features["begins"], features["ends"], strict=True)) if a < end <= b), None)
    return (first, last) if first is not None and last is not None else (0, 0)
