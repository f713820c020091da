"""text-classification: a label, several labels or a number for a text or a pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from hfrecipes.cloze import Cloze
from hfrecipes.columns import Column
from hfrecipes.errors import DataError
from hfrecipes.family import Architecture
from hfrecipes.metrics.accuracy import Accuracy
from hfrecipes.metrics.f1 import F1
from hfrecipes.metrics.pearson import Pearson
from hfrecipes.tasks import UNLABELLED, Features, Row, Task, Window, text_or_pair
from hfrecipes.uncertainty import Covered
from hfrecipes.value import Field, value

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens


@dataclass(frozen=True)
class Classification:
    """`label` is the answer: a name, a tuple of names (multi-label) or a number (regression). `score` is the model's
    confidence in it between 0 and 1 (for several labels the lowest of theirs; for regression the number itself).
    `scores` holds the probability of every label."""

    label: str | tuple[str, ...] | float
    score: float
    scores: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.score:.4f}\t{', '.join(self.label) if isinstance(self.label, tuple) else self.label}"


@value
class TextClassification(Task):
    """A label, several labels or a number for a text or a pair of texts.

    `problem` is found from the label column where it is not given: a list of names means several labels, a decimal number
    means regression, anything else one label. `threshold` is the probability from which one of several labels is given.

    With a `pattern`, such as `"{text} It was [MASK]."`, an encoder that was trained on masked words says which of the labels'
    words fits best (Schick and Schütze 2021, arXiv:2001.07676): `{text: …, words: {positive: great}}`. The logits are those of
    its masked-language-modelling head, from before the training on (`before: true` measures them).
    """

    problem: Literal["single_label_classification", "multi_label_classification", "regression"] | None = None
    max_length: Annotated[int, Field(gt=2)] | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    pattern: Cloze | None = None

    heads: ClassVar[Mapping[Architecture, str]] = {
        "encoder": "text-classification",
        "decoder": "text-classification",
        "encoder-decoder": "text-classification",
    }
    columns: ClassVar[Mapping[str, Column]] = {
        "text": Column("the text", text=True),
        "text_pair": Column("the second text of a pair", text=True, required=False),
        "label": Column("the label, the list of labels, or the number"),
    }

    label_column: ClassVar[str] = "label"

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        feature = rows.features["label"]
        problem = self.problem or _problem(feature)
        if problem == "regression":
            if not str(getattr(feature, "dtype", "")).startswith(("float", "int", "double")):
                raise DataError("data.label", f"regression needs numbers, not {feature}", "Name a column of numbers")
            return {"problem_type": problem, "num_labels": 1, "id2label": {0: "score"}, "label2id": {"score": 0}}
        inner = getattr(feature, "feature", feature)
        if not hasattr(inner, "dtype") or (inner is not feature) != (problem == "multi_label_classification"):
            raise DataError(
                "data.label",
                f"{problem} cannot read {feature}",
                "Name a column of names, or of lists of names for several labels",
            )
        seen = rows.unique("label") if problem == "single_label_classification" else sorted({x for r in rows["label"] for x in r})
        numbered = list(getattr(inner, "names", None) or ())
        names = numbered or [str(x) for x in sorted(seen)]
        if len(names) < 2 or len(seen) < 2:
            raise DataError(
                "data.label",
                f"the training rows have one class only, '{names[0] if names else ''}'",
                "Give rows of two classes or more",
            )
        before = [config["id2label"][key] for key in sorted(config.get("id2label", {}), key=int)]
        names = before if sorted(before) == sorted(names) else names
        ids = {name: index for index, name in enumerate(names)}
        learned = {"problem_type": problem, "num_labels": len(names), "id2label": dict(enumerate(names)), "label2id": ids}
        if problem == "single_label_classification":
            seen_as = Counter(numbered[x] if numbered else str(x) for x in rows["label"])
            learned["label_counts"] = [seen_as[name] for name in names]
        return {**learned, "data_labels": numbered}

    def stratify(self, config: Mapping[str, Any]) -> str | None:
        return "label" if config["problem_type"] == "single_label_classification" else None

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        if self.pattern is not None:
            encoded = self.pattern.encode(rows, tokens)
        else:
            encoded = tokens.encode([row["text"] for row in rows], [row.get("text_pair") for row in rows])
        return [{**tokens.features(encoding), "row": i} for i, encoding in enumerate(encoded)]

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        read = self.encode(rows, tokens, config)
        return [{**features, "labels": self._target(row["label"], config)} for features, row in zip(read, rows, strict=True)]

    def collate(self, features: Sequence[Features], tokens: Tokens) -> dict[str, np.ndarray]:
        batch = tokens.collate(features)
        if "labels" in features[0]:
            labels = [f["labels"] for f in features]
            batch["labels"] = np.array(labels, dtype=np.int64 if isinstance(labels[0], int) else np.float32)
        return batch

    def items(self, outputs: Any, batch: Mapping[str, Any], config: Any, shifted: bool) -> Tensor:
        """One choice a row; for several labels a choice between no and yes for each: (rows, labels, 2)."""
        import torch

        logits: Tensor = outputs.logits
        several = config.problem_type == "multi_label_classification"
        return torch.stack([torch.zeros_like(logits), logits], dim=-1) if several else logits

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Classification:
        logits = windows[0].outputs["logits"].astype(np.float64)
        if config["problem_type"] == "regression":
            return Classification(float(logits[0]), float(logits[0]), {"score": float(logits[0])})
        names = _names(config)
        if config["problem_type"] == "multi_label_classification":
            return self._several(1 / (1 + np.exp(-logits)), names)
        odds = np.exp(logits - logits.max())
        chances = odds / odds.sum()
        best = int(chances.argmax())
        return Classification(names[best], float(chances[best]), dict(zip(names, chances.tolist(), strict=True)))

    def row(self, given: Any) -> Row:
        return text_or_pair(given)

    def prediction(self, answer: Classification, config: Mapping[str, Any]) -> Any:
        if isinstance(answer.label, tuple):
            return [int(name in answer.label) for name in _names(config)]
        return answer.label

    def form(self, answer: Classification, config: Mapping[str, Any], wants: str) -> Any:
        return dict(answer.scores) if wants == "scores" else super().form(answer, config, wants)

    def reference(self, row: Row, config: Mapping[str, Any]) -> Any:
        if config["problem_type"] == "regression":
            return float(row["label"])
        names = _names(config)
        if config["problem_type"] == "multi_label_classification":
            given = self._named(row["label"], config)
            return [int(name in given) for name in names]
        return self._named([row["label"]], config)[0]

    def graded(
        self, outputs: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """A choice a row; for several labels one between no and yes for each, as long as they are given from even odds on."""
        logits, labels = outputs["logits"], batch["labels"]
        if config["problem_type"] == "single_label_classification":
            return [(logits, labels)]
        if config["problem_type"] == "multi_label_classification" and self.threshold == 0.5:
            flat = logits.reshape(-1)
            return [(np.stack([np.zeros_like(flat), flat], axis=1), labels.reshape(-1).astype(np.int64))]
        return []

    def confidences(self, answer: Classification) -> list[float]:
        return [] if isinstance(answer.label, float) else [answer.score]

    def nonconformity(
        self, answer: Classification, row: Row, config: Mapping[str, Any], confidences: Sequence[float]
    ) -> list[float]:
        """How improbable the true label was (Sadinle et al. 2019, arXiv:1609.00451), or the least probable of several; of a
        number, how far it is off."""
        truth = self.reference(row, config)
        if isinstance(truth, float):
            return [abs(truth - answer.score)]
        names = [truth] if isinstance(truth, str) else [n for n, given in zip(_names(config), truth, strict=True) if given]
        return [1 - min((answer.scores.get(name, 0.0) for name in names), default=1.0)]

    def within(self, answer: Classification, limit: float, confidences: Sequence[float], config: Mapping[str, Any]) -> Covered:
        """The labels that are probable enough, the likeliest first; for a number the two ends of an interval."""
        if isinstance(answer.label, float):
            return Covered(answer, (answer.label - limit, answer.label + limit), False)
        ranked = sorted(answer.scores, key=lambda name: -answer.scores[name])
        among = tuple(name for name in ranked if 1 - answer.scores[name] <= limit)
        said = (answer.label,) if isinstance(answer.label, str) else answer.label
        return Covered(answer, among, set(among) != set(said))

    def baseline(self, rows: Sequence[Row], config: Mapping[str, Any]) -> list[Any] | None:
        """The most frequent label."""
        if config["problem_type"] != "single_label_classification":
            return None
        [(label, _)] = Counter(self.reference(row, config) for row in rows).most_common(1)
        return [label] * len(rows)

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (Pearson(),) if config["problem_type"] == "regression" else (Accuracy(), F1())

    def _several(self, chances: np.ndarray, names: Sequence[str]) -> Classification:
        scores = dict(zip(names, chances.tolist(), strict=True))
        chosen = tuple(name for name, chance in scores.items() if chance >= self.threshold)
        return Classification(chosen, min((scores[n] for n in chosen), default=1 - max(scores.values())), scores)

    def _named(self, labels: Sequence[Any], config: Mapping[str, Any]) -> list[str]:
        """Labels by name, whether the data gives names or numbers of a ClassLabel column."""
        numbered = config["data_labels"]
        if numbered and min(labels, default=0) < 0:
            raise DataError(
                "data.label", "a row has the label -1, which stands for none", "Name a split with labels: `data.test: validation`"
            )
        return [numbered[x] if numbered else str(x) for x in labels]

    def _target(self, label: Any, config: Mapping[str, Any]) -> Any:
        if label is None and config["problem_type"] == "single_label_classification":
            return UNLABELLED
        if label is None:
            raise DataError("data.labelled", "a row without a label must be of one class", "Leave `labelled` out")
        if config["problem_type"] == "regression":
            return float(label)
        names = _names(config)
        if config["problem_type"] == "multi_label_classification":
            given = set(self._named(label, config))
            return [float(name in given) for name in names]
        [name] = self._named([label], config)
        if name not in config["label2id"]:
            raise DataError(
                "data.label",
                f"the label '{name}' is not among the {len(names)} of the training rows",
                "Every class needs training rows",
            )
        return int(config["label2id"][name])


def _problem(feature: Any) -> str:
    if hasattr(feature, "feature") or isinstance(feature, list):
        return "multi_label_classification"
    return "regression" if str(getattr(feature, "dtype", "")).startswith(("float", "double")) else "single_label_classification"


def _names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Label names in the order of their ids; a config has them under numbers, its JSON under digits."""
    return _ordered(tuple(config["id2label"].items()))


@lru_cache
def _ordered(named: tuple[tuple[Any, Any], ...]) -> tuple[str, ...]:
    """The names behind ids: of many labels sorting them for each answer costs as much as reading its text."""
    return tuple(str(name) for _, name in sorted(named, key=lambda entry: int(entry[0])))
