"""token-classification: named entities and slots, from words with BIO or BIOES tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from hfrecipes.columns import Column
from hfrecipes.errors import DataError
from hfrecipes.family import Architecture
from hfrecipes.metrics.entity_f1 import EntityF1
from hfrecipes.part import value
from hfrecipes.tasks import IGNORED, UNLABELLED, Features, Row, Task, Window
from hfrecipes.uncertainty import Covered

if TYPE_CHECKING:
    from datasets import Dataset

    from hfrecipes.metrics import Metric
    from hfrecipes.tokens import Tokens

TAG = re.compile(r"O|[BIES]-.+")
SPLITS = {"whitespace": re.compile(r"\S+"), "punctuation": re.compile(r"\w+(?:'\w+)?|[^\w\s]")}


@dataclass(frozen=True)
class Entity:
    """A span of the text: characters `start` to `end` (exclusive), its type, and the mean probability of its words' tags."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Entities:
    """The entities of a text, in order, and the tag of each of its words."""

    entities: tuple[Entity, ...]
    tags: tuple[str, ...]

    def __str__(self) -> str:
        return "\t".join(f"{e.label}: {e.text} [{e.start}:{e.end}] {e.score:.4f}" for e in self.entities) or "-"


@value
class TokenClassification(Task):
    """A tag for every word of a text, and the entities that the tags spell out.

    Rows hold `tokens` (a list of words) and `tags` (a list of BIO or BIOES tags, by name or as a ClassLabel). A plain text is
    cut into words at white space, or at `punctuation` too: choose what the training data does. A word's tag is that of its
    first token (Devlin et al. 2019, section 5.3). Rows that are longer than the model reads are read in several windows.
    """

    words: Literal["whitespace", "punctuation"] = "punctuation"
    max_length: Annotated[int, Field(gt=2)] | None = None

    heads: ClassVar[Mapping[Architecture, str]] = {"encoder": "token-classification"}
    columns: ClassVar[Mapping[str, Column]] = {
        "tokens": Column("the words of the text, as a list"),
        "tags": Column("the tag of each word, as a list"),
    }
    per_token: ClassVar[bool] = True
    label_column: ClassVar[str] = "tags"

    def learn(self, rows: Dataset, config: Mapping[str, Any]) -> dict[str, Any]:
        inner = getattr(rows.features["tags"], "feature", None)
        for column in ("tags", "tokens"):
            if any(not isinstance(entry, list) for entry in rows[column]):
                raise DataError(f"data.{column}", "a row holds no list", f"Give {self.columns[column].meaning}")
        seen = sorted({tag for tags in rows["tags"] for tag in tags}, key=str)
        numbered = list(getattr(inner, "names", None) or ())
        named = numbered or [str(tag) for tag in seen]
        wrong = [name for name in named if not TAG.fullmatch(name)]
        if wrong:
            raise DataError("data.tags", f"'{wrong[0]}' is no BIO or BIOES tag", "Write O, B-TYPE, I-TYPE (and E-TYPE, S-TYPE)")
        names = sorted(set(named) | {"O"}, key=lambda name: (name != "O", name.partition("-")[2], name))
        before = [config["id2label"][key] for key in sorted(config.get("id2label", {}), key=int)]
        names = before if sorted(before) == sorted(names) else names
        ids = {name: index for index, name in enumerate(names)}
        return {"num_labels": len(names), "id2label": dict(enumerate(names)), "label2id": ids, "data_labels": numbered}

    def encode(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        found = []
        for i, encodings in enumerate(tokens.words([row["tokens"] for row in rows])):
            for encoding in encodings:
                words = [-1 if word is None else word for word in encoding.word_ids]
                found.append({**tokens.features(encoding), "row": i, "words": words})
        return found

    def examples(self, rows: Sequence[Row], tokens: Tokens, config: Mapping[str, Any]) -> list[Features]:
        found = []
        targets = [self._targets(row, config) for row in rows]
        for features in self.encode(rows, tokens, config):
            words, ids = features["words"], targets[features["row"]]
            firsts = [word >= 0 and word != before for word, before in zip(words, [-1, *words], strict=False)]
            labels = [ids[word] if first else IGNORED for word, first in zip(words, firsts, strict=True)]
            found.append({**features, "labels": labels})
        return found

    def answer(self, row: Row, windows: Sequence[Window], tokens: Tokens, config: Mapping[str, Any]) -> Entities:
        names = [str(config["id2label"][key]) for key in sorted(config["id2label"], key=int)]
        tags = ["O"] * len(row["tokens"])
        chances = [1.0] * len(tags)
        seen = set()
        for window in windows:
            logits = window.outputs["logits"].astype(np.float64)
            odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
            shares = odds / odds.sum(axis=-1, keepdims=True)
            for position, word in enumerate(window.features["words"]):
                if word >= 0 and word not in seen:
                    seen.add(word)
                    best = int(shares[position].argmax())
                    tags[word], chances[word] = names[best], float(shares[position, best])
        return Entities(tuple(spans(row, tags, chances)), tuple(tags))

    def row(self, given: Any) -> Row:
        if isinstance(given, Mapping):
            return {key: given[key] for key in ("tokens", "text", "offsets") if key in given}
        if not isinstance(given, str):
            return {"tokens": list(given)}
        found = [match.span() for match in SPLITS[self.words].finditer(given)]
        return {"tokens": [given[start:end] for start, end in found], "text": given, "offsets": found}

    def prediction(self, answer: Entities, config: Mapping[str, Any]) -> list[str]:
        return list(answer.tags)

    def reference(self, row: Row, config: Mapping[str, Any]) -> list[str]:
        return [self._name(tag, config) for tag in row["tags"]]

    def graded(
        self, outputs: Mapping[str, np.ndarray], batch: Mapping[str, np.ndarray], config: Mapping[str, Any]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """A choice a word."""
        counted = batch["labels"] != IGNORED
        return [(outputs["logits"][counted], batch["labels"][counted])]

    def confidences(self, answer: Entities) -> list[float]:
        return [entity.score for entity in answer.entities]

    def right(self, answer: Entities, row: Row, config: Mapping[str, Any]) -> list[bool]:
        """An entity is right where the tags of the row spell out the same words as the same type."""
        tags = self.reference(row, config)
        asked = {"tokens": row["tokens"]}
        truth = {(e.label, e.start, e.end) for e in spans(asked, tags, [1.0] * len(tags))}
        said = spans(asked, answer.tags, [1.0] * len(answer.tags))
        return [(e.label, e.start, e.end) in truth for e in said]

    def within(self, answer: Entities, limit: float, confidences: Sequence[float], config: Mapping[str, Any]) -> Covered:
        """The entities that are sure enough; it abstains where one is not."""
        kept = tuple(entity for entity in answer.entities if 1 - entity.score <= limit)
        return Covered(answer, kept, len(kept) < len(answer.entities))

    def default_metrics(self, config: Mapping[str, Any]) -> tuple[Metric, ...]:
        return (EntityF1(),)

    def _name(self, tag: Any, config: Mapping[str, Any]) -> str:
        return str(config["data_labels"][tag] if config["data_labels"] else tag)

    def _targets(self, row: Row, config: Mapping[str, Any]) -> list[int]:
        if row["tags"] is None:
            return [UNLABELLED] * len(row["tokens"])
        if len(row["tokens"]) != len(row["tags"]):
            words = " ".join(row["tokens"])
            raise DataError(
                "data.tags",
                f"a row has {len(row['tokens'])} words and {len(row['tags'])} tags: '{words:.60}'",
                "Give each word one tag",
            )
        named = self.reference(row, config)
        unknown = [name for name in named if name not in config["label2id"]]
        if unknown:
            raise DataError(
                "data.tags", f"the tag '{unknown[0]}' is not among those of the training rows", "Every tag needs training rows"
            )
        return [int(config["label2id"][name]) for name in named]


def spans(row: Row, tags: Sequence[str], chances: Sequence[float]) -> list[Entity]:
    """The entities that tags spell out: a type goes on until another type, an O, or a B or S opens the next."""
    offsets = row.get("offsets") or _joined(row["tokens"])
    text = row.get("text") or " ".join(row["tokens"])
    groups: list[tuple[str, list[int]]] = []
    before = "O"
    for word, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        closed = before == "O" or before[0] in "ES" or prefix in "BS" or kind != before.partition("-")[2]
        if tag != "O" and closed:
            groups.append((kind, [word]))
        elif tag != "O":
            groups[-1][1].append(word)
        before = tag
    found = []
    for kind, words in groups:
        start, end = offsets[words[0]][0], offsets[words[-1]][1]
        found.append(Entity(kind, text[start:end], start, end, float(np.mean([chances[w] for w in words]))))
    return found


def _joined(words: Sequence[str]) -> list[tuple[int, int]]:
    """Where each word stands in the words joined by blanks."""
    found, at = [], 0
    for word in words:
        found.append((at, at + len(word)))
        at += len(word) + 1
    return found
