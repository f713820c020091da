"""Tokenization, compared: the same texts cut by tokenizers of several kinds, and what the cuts cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hfrecipes.columns import Column
from hfrecipes.data import Data, open_splits, take
from hfrecipes.tokens import LONE_SURROGATES

if TYPE_CHECKING:
    from datasets import Dataset
    from tokenizers import Tokenizer

    from hfrecipes.tasks import Task
    from hfrecipes.tokenizers import Tokenization

MEASURED = 2_000
"""The figures are taken over at most this many texts."""
SAMPLE = 120
"""The first text stands for all where no text is given: this many characters of it are shown."""


@dataclass(frozen=True)
class Texts:
    """The texts in some columns of rows, read from the disk each time; a list of words is one text."""

    rows: Dataset
    columns: Sequence[str]

    @classmethod
    def of(cls, data: Data, roles: Mapping[str, Column], columns: Sequence[str]) -> Texts:
        """The texts of the training split. Raises DataError where they are missing."""
        rows = take(data, open_splits(data), data.train, roles)
        return cls(rows, [column for column in columns if column in rows.column_names])

    def __iter__(self) -> Iterator[str]:
        for batch in self.rows.select_columns(list(self.columns)).iter(batch_size=1_000):
            for column in self.columns:
                for entry in batch[column]:
                    yield entry if isinstance(entry, str) else " ".join(entry)


def columns_of_texts(task: Task) -> list[str]:
    """The columns of a task that a tokenizer is trained on: those that it reads, and those that it learns to write."""
    texts = [role for role, column in task.columns.items() if column.text or task.generates]
    return texts or list(task.columns)[:1]


@dataclass(frozen=True)
class Cut:
    """How one tokenizer cuts texts. `pieces` are the tokens of the sample; `fertility` is the tokens that a word between white
    space takes, `unknown` the share of tokens that are not in the vocabulary, `bytes_per_token` the bytes (UTF-8) that a token
    stands for."""

    name: str
    vocabulary: int
    pieces: tuple[str, ...]
    fertility: float
    unknown: float
    bytes_per_token: float


def compare(texts: Iterable[str], parts: Sequence[Tokenization], sample: str | None = None) -> list[Cut]:
    """Train each part on the texts, which are read several times, and measure it on the first 2,000 of them; `sample` is cut
    to be shown, or the beginning of the first text."""
    measured = [LONE_SURROGATES.sub("\ufffd", text) for text in islice(texts, MEASURED)]
    first = next((text for text in measured if text.strip()), "")
    shown = first[:SAMPLE] if sample is None else LONE_SURROGATES.sub("\ufffd", sample)
    return [measure(part, part.train(texts), measured, shown) for part in parts]


def measure(part: Tokenization, tokenizer: Tokenizer, texts: Sequence[str], sample: str) -> Cut:
    """The figures of a tokenizer that `part` has trained for encoders."""
    from hfrecipes.tokenizers import LAYOUTS

    unknown = tokenizer.token_to_id(LAYOUTS["encoder"].unknown)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    tokens = max(1, sum(map(len, ids)))
    return Cut(
        name=part.name,
        vocabulary=tokenizer.get_vocab_size(),
        pieces=tuple(visible(part.spell(token)) for token in tokenizer.encode(sample, add_special_tokens=False).tokens),
        fertility=tokens / max(1, sum(len(text.split()) for text in texts)),
        unknown=sum(token == unknown for row in ids for token in row) / tokens,
        bytes_per_token=sum(len(text.encode()) for text in texts) / tokens,
    )


def visible(text: str) -> str:
    """A text with what cannot be printed as an escape, so that a terminal does nothing but show it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
