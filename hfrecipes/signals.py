"""Signals: what a monitor sees of rows and of the answers to them, as numbers and names alone. Needs a tokenizer and no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hfrecipes.errors import DataError
from hfrecipes.traffic import script, text_of, things

if TYPE_CHECKING:
    from hfrecipes.tasks import Row, Task
    from hfrecipes.tokens import Tokens

CONFIDENCE, ANSWER, VECTORS = "confidence", "answer", "token_vectors"
NUMBERS = ("characters", "tokens", "unknown_tokens", "rare_tokens", CONFIDENCE)
"""Features with a number a row: counts, shares of its tokens between 0 and 1, and the mean confidence of what its answer claims,
to a thousandth: what is nearer differs between processors."""
NAMES = (ANSWER, "script")
"""Features with a name a row."""
WIDTH = 32
BUCKETS = 1 << 15
"""Tokens whose ids are the same modulo this have the same vector."""


@dataclass(frozen=True)
class Sample:
    """What is seen of rows: `numbers` and `names` by feature, with an entry a row, and `vectors` of shape (rows, WIDTH). Features
    that the task does not have are not there. A confidence is nan where an answer claims nothing."""

    numbers: Mapping[str, np.ndarray]
    names: Mapping[str, tuple[str, ...]]
    vectors: np.ndarray

    def __len__(self) -> int:
        return len(self.vectors)

    def __contains__(self, feature: str) -> bool:
        return feature in self.numbers or feature in self.names or feature == VECTORS

    def take(self, rows: Sequence[int] | np.ndarray | range) -> Sample:
        """The rows at these positions."""
        at = np.asarray(rows, dtype=np.int64)
        names = {feature: tuple(found[i] for i in at) for feature, found in self.names.items()}
        return Sample({feature: found[at] for feature, found in self.numbers.items()}, names, self.vectors[at])

    def novelty(self) -> Sample:
        """One row of which no number and no name stands in the sample; its confidence is at the other end of the scale."""
        numbers = {
            feature: np.array([np.nextafter(np.nanmax(found), np.inf) if not np.isnan(found).all() else 0.0])
            for feature, found in self.numbers.items()
        }
        if CONFIDENCE in numbers:
            numbers[CONFIDENCE] = np.array([float(np.nanmean(self.numbers[CONFIDENCE]) < 0.5)])
        return Sample(numbers, dict.fromkeys(self.names, ("\0",)), self.vectors.mean(axis=0, keepdims=True))


def join(samples: Sequence[Sample]) -> Sample:
    """The rows of several samples with the same features, one after another."""
    first = samples[0]
    numbers = {feature: np.concatenate([each.numbers[feature] for each in samples]) for feature in first.numbers}
    names = {feature: tuple(name for each in samples for name in each.names[feature]) for feature in first.names}
    return Sample(numbers, names, np.concatenate([each.vectors for each in samples]))


def cut(rows: Sequence[Row], task: Task, tokens: Tokens) -> list[np.ndarray]:
    """The ids of the tokens of each row's texts, without special tokens."""
    encoded = tokens.encode([text_of(row, task.columns) for row in rows])
    return [np.array(e.ids, dtype=np.int64)[np.array(e.special_tokens_mask, dtype=np.int64) == 0] for e in encoded]


def spread(ids: Sequence[np.ndarray], vocabulary: int) -> np.ndarray:
    """In how many of the rows each token stands, shape (vocabulary,)."""
    counts = np.zeros(vocabulary, dtype=np.int64)
    for row in ids:
        counts[np.unique(row)] += 1
    return counts


def see(
    rows: Sequence[Row],
    answers: Sequence[Any],
    task: Task,
    config: Mapping[str, Any],
    tokens: Tokens,
    known: np.ndarray | None = None,
) -> Sample:
    """The sample of rows, as the task reads them, and of the answers to them, of which there may be none.

    `known` says of each token id whether held-out rows had it, shape (vocabulary,): a token is rare where they had not. Without
    it the rows are the held-out ones themselves, and a token is rare that stands in no other of them.
    """
    ids = cut(rows, task, tokens)
    texts = [text_of(row, task.columns) for row in rows]
    unknown = tokens.tokenizer.token_to_id(tokens.names["unk_token"]) if "unk_token" in tokens.names else None
    common = spread(ids, tokens.tokenizer.get_vocab_size()) > 1 if known is None else known
    numbers = {
        "characters": np.array([len(text) for text in texts], dtype=np.float64),
        "tokens": np.array([len(row) for row in ids], dtype=np.float64),
        "unknown_tokens": np.array([_share(row == unknown) if unknown is not None else 0.0 for row in ids], dtype=np.float64),
        "rare_tokens": np.array([_share(~common[row]) for row in ids], dtype=np.float64),
    }
    names = {"script": tuple(script(text) for text in texts)}
    if answers:
        names[ANSWER] = tuple(said(answer, task, config) for answer in answers)
        sure = [task.confidences(answer) for answer in answers]
        if any(sure):
            numbers[CONFIDENCE] = np.array([np.mean(each) if each else np.nan for each in sure], dtype=np.float64).round(3)
    table = _vectors()
    vectors = np.array([table[row % BUCKETS].mean(axis=0) if len(row) else np.zeros(WIDTH) for row in ids], dtype=np.float64)
    return Sample(numbers, names, vectors.reshape(len(rows), WIDTH))


def said(answer: Any, task: Task, config: Mapping[str, Any]) -> str:
    """What an answer names, as one name: its label, or all that it names in the order of the alphabet."""
    prediction = task.prediction(answer, config)
    if isinstance(prediction, list) and config.get("problem_type") == "multi_label_classification":
        prediction = [config["id2label"][str(i)] for i, given in enumerate(prediction) if given]
    counts = Counter(things(prediction, config))
    return " + ".join(sorted(counts)) or "nothing"


def read(given: Sequence[Any], task: Task) -> list[Row]:
    """The rows that texts, pairs of texts or mappings mean. Raises DataError for what the task cannot read."""
    found = []
    for each in given:
        row = task.meant(each)
        if not row:
            raise DataError("text", f"{task.name} cannot read {each!r:.60}", f"Its columns are: {', '.join(task.columns)}")
        found.append(row)
    return found


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else 0.0


@lru_cache(maxsize=1)
def _vectors() -> np.ndarray:
    """A random vector a token, always the same: shape (BUCKETS, WIDTH)."""
    return np.random.default_rng(0).standard_normal((BUCKETS, WIDTH), dtype=np.float32)
