"""sentence-similarity: an embedding for a text, and how near two texts are (a bi-encoder)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PlainSerializer, PlainValidator

from hfrecipes.columns import Column
from hfrecipes.family import Architecture
from hfrecipes.metrics.pearson import Pearson
from hfrecipes.metrics.spearman import Spearman
from hfrecipes.part import value
from hfrecipes.tasks import Features, Row, Task, Window, text_or_pair

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens


_READ, _WRITTEN = PlainValidator(lambda given: np.asarray(given, np.float32)), PlainSerializer(lambda v: v.tolist(), list[float])
Vector = Annotated[np.ndarray, _READ, _WRITTEN]


@dataclass(frozen=True)
class Similarity:
    """The embeddings (of unit length) of one text or two; `score` is the cosine of two, and 1 for a text alone."""

    score: float
    embeddings: tuple[Vector, ...]

    def __str__(self) -> str:
        return f"{self.score:.4f}" if len(self.embeddings) == 2 else " ".join(f"{x:.5f}" for x in self.embeddings[0])


@value
class SentenceSimilarity(Task):
    """How near two texts are, by the cosine of their embeddings (Reimers and Gurevych 2019, arXiv:1908.10084).

    `objective: cosent` orders the pairs of a batch as their `score` does (the logarithm of one plus the sum over all pairs of
    pairs in the wrong order; Su 2022); `cosine` takes the score, on a scale from 0 to 1, for the cosine itself (its squared
    error, as in the paper above), which also holds between pairs that are never in one batch; `mnrl` takes every pair for a
    match and the other texts of the batch for mismatches (Henderson et al. 2017, arXiv:1705.00652). `scale` multiplies cosines
    in cosent and mnrl: both compare the rows of a batch, so `train_sampling_strategy: random` lets them see more than texts of
    one length. For a cross-encoder use text-classification on pairs.
    """

    pooling: Literal["mean", "cls", "max"] = "mean"
    objective: Literal["cosent", "cosine", "mnrl"] = "cosent"
    scale: Annotated[float, Field(gt=0)] = 20.0
    max_length: Annotated[int, Field(gt=2)] | None = 128

    heads: ClassVar[Mapping[Architecture, str]] = {"encoder": "feature-extraction"}
    columns: ClassVar[Mapping[str, Column]] = {
        "text": Column("the first text", text=True),
        "text_pair": Column("the second text", text=True),
        "score": Column("how near they are, as a number", required=False),
    }
    outputs: ClassVar[tuple[str, ...]] = ("last_hidden_state",)
    per_token: ClassVar[bool] = True
    scored_in_training: ClassVar[bool] = False
    reads_as_encoded: ClassVar[bool] = False

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        from hfrecipes.errors import DataError

        if self.objective == "mnrl":
            return {}
        if "score" not in rows.column_names:
            what = f"{self.objective} needs a score for every pair"
            raise DataError("data.score", what, "Name its column, or write `objective: mnrl`")
        low, high = float(min(rows["score"])), float(max(rows["score"]))
        if low == high:
            raise DataError("data.score", f"every pair has the score {low:g}", "Give pairs that are near and pairs that are not")
        return {"score_range": [low, high]}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        texts = [(i, row[role]) for i, row in enumerate(rows) for role in ("text", "text_pair") if role in row]
        encoded = tokens.encode([text for _, text in texts])
        return [{**tokens.features(e), "row": i} for (i, _), e in zip(texts, encoded, strict=True)]

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        read = self.encode(rows, tokens, config)
        found = []
        for row, first, second in zip(rows, read[::2], read[1::2], strict=True):
            pair = {f"pair_{name}": entry for name, entry in second.items() if name != "row"}
            found.append({**first, **pair, "labels": float(row.get("score", 1.0))})
        return found

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        if "labels" not in features[0]:
            return tokens.collate(features)
        second = [{name: f[f"pair_{name}"] for name in tokens.inputs if f"pair_{name}" in f} for f in features]
        labels = np.array([f["labels"] for f in features], dtype=np.float32)
        return {**tokens.collate([*features, *second]), "labels": labels}

    def loss(self, model: Any, batch: Mapping[str, Any]) -> tuple[Tensor, Any]:
        """The loss over a batch whose first half of rows are the first texts and whose second half are their partners."""
        import torch
        from torch.nn import functional

        scores = batch["labels"]
        outputs = model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
        states = functional.normalize(self._pool_torch(outputs.last_hidden_state, batch["attention_mask"]), dim=-1)
        first, second = states.chunk(2)
        if self.objective == "mnrl":
            return functional.cross_entropy(
                self.scale * first @ second.T, torch.arange(len(first), device=states.device)
            ), outputs
        if self.objective == "cosine":
            low, high = model.config.score_range
            return functional.mse_loss((first * second).sum(dim=-1), (scores - low) / (high - low)), outputs
        cosines = self.scale * (first * second).sum(dim=-1)
        gaps = cosines[None, :] - cosines[:, None]
        wrong = gaps[scores[:, None] > scores[None, :]]
        return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), dim=0), outputs

    def items(self, outputs: Any, batch: Mapping[str, Any], config: Any, shifted: bool) -> Tensor:
        """The cosine of each pair, a number: (rows, 1)."""
        from torch.nn import functional

        states = functional.normalize(self._pool_torch(outputs.last_hidden_state, batch["attention_mask"]), dim=-1)
        first, second = states.chunk(2)
        return (first * second).sum(dim=-1, keepdim=True)

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Similarity:
        vectors = []
        for window in windows:
            states = window.outputs["last_hidden_state"].astype(np.float64)
            pooled = states[0] if self.pooling == "cls" else states.max(axis=0) if self.pooling == "max" else states.mean(axis=0)
            vectors.append((pooled / max(float(np.linalg.norm(pooled)), 1e-12)).astype(np.float32))
        return Similarity(float(vectors[0] @ vectors[-1]), tuple(vectors))

    def row(self, given: Any) -> Row:
        return text_or_pair(given)

    def prediction(self, answer: Similarity, config: Mapping[str, Any]) -> float:
        return answer.score

    def reference(self, row: Row, config: Mapping[str, Any]) -> float:
        return float(row.get("score", 1.0))

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Spearman(), Pearson())

    def _pool_torch(self, states: Tensor, mask: Tensor) -> Tensor:
        """States of shape (rows, tokens, width) and mask (rows, tokens) to one vector a row, padding left out."""
        if self.pooling == "cls":
            return states[:, 0]
        wide = mask.unsqueeze(-1).to(states.dtype)
        if self.pooling == "max":
            return states.masked_fill(wide == 0, float("-inf")).max(dim=1).values
        return (states * wide).sum(dim=1) / wide.sum(dim=1).clamp(min=1)
