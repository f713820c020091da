"""Words: what vectors say of each other: neighbours, analogies and likeness; and vectors as text files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from hfrecipes.errors import DataError, UserError

SIGNS = re.compile(r"\s([+-])\s")


@dataclass(frozen=True)
class Words:
    """Words and their vectors, of shape (words, units); a word has one vector at most."""

    names: Sequence[str]
    table: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], table: np.ndarray) -> Words:
        """Those that have a name and a vector that is not zero."""
        there = np.array([bool(name) for name in names]) & (np.abs(table).sum(axis=1) > 0)
        return cls([name for name, kept in zip(names, there, strict=True) if kept], table[there])

    @cached_property
    def unit(self) -> np.ndarray:
        """The vectors at unit length."""
        found: np.ndarray = self.table / np.linalg.norm(self.table, axis=1, keepdims=True)
        return found

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each word."""
        return {name: i for i, name in enumerate(self.names)}

    def place(self, word: str) -> int:
        """The row of a word, or of it in lower case. Raises UserError for one that has no vector."""
        for form in (word, word.lower()):
            if form in self.places:
                return self.places[form]
        raise UserError("words", f"'{word}' has no vector", self._close(word))

    def _close(self, word: str) -> str:
        close = difflib.get_close_matches(word.lower(), self.names, n=3)
        return f"Did you mean: {', '.join(close)}" if close else "Write words of the training texts"

    def nearest(self, expression: str, count: int = 10) -> list[tuple[str, float]]:
        """The words nearest to `king - man + woman` by the cosine, those of the expression left out (Mikolov et al. 2013)."""
        parts = SIGNS.split(f" + {expression.strip()}" if expression.strip() else "")[1:]
        signs, words = [1 if sign == "+" else -1 for sign in parts[::2]], [word.strip() for word in parts[1::2]]
        if not words or any(not word or " " in word for word in words):
            raise UserError("words", f"'{expression}' is no sum of words", 'Write "king - man + woman"')
        places = [self.place(word) for word in words]
        return self._around(np.array(signs) @ self.unit[places], places, count)

    def _around(self, wanted: np.ndarray, without: Sequence[int], count: int) -> list[tuple[str, float]]:
        near = self.unit @ (wanted / max(float(np.linalg.norm(wanted)), 1e-12))
        near[list(without)] = -np.inf
        best = np.argsort(-near)[:count]
        return [(self.names[i], float(near[i])) for i in best if np.isfinite(near[i])]

    def likeness(self, one: str, other: str) -> float:
        """The cosine of two words."""
        return float(self.unit[self.place(one)] @ self.unit[self.place(other)])

    def analogies(self, questions: Sequence[tuple[str, str, str, str]]) -> tuple[int, int]:
        """How many of the questions `a b c d` (a is to b as c is to d) are answered with d among all words, and how many have all
        their words."""
        asked = [[self.places.get(word, self.places.get(word.lower(), -1)) for word in each] for each in questions]
        known = [each for each in asked if -1 not in each]
        right = 0
        for a, b, c, d in known:
            near = self.unit @ (self.unit[b] - self.unit[a] + self.unit[c])
            near[[a, b, c]] = -np.inf
            right += int(near.argmax()) == d
        return right, len(known)


def agreement(words: Words, pairs: Sequence[tuple[str, str, float]]) -> tuple[float, int]:
    """Spearman's rank correlation of likeness with people's, and over how many pairs. Raises DataError where fewer than three
    pairs have both words."""
    from scipy.stats import spearmanr

    known = [each for each in pairs if all(word in words.places or word.lower() in words.places for word in each[:2])]
    if len(known) < 3:
        raise DataError("--pairs", f"{len(known)} of {len(pairs)} pairs have both words", "Give pairs of words of the vectors")
    found = spearmanr([words.likeness(one, other) for one, other, _ in known], [score for *_, score in known])
    return float(found.statistic), len(known)


def read_questions(file: Path) -> list[tuple[str, str, str, str]]:
    """Analogies, four words a line; lines that begin with `:` or `#` name a section. Raises DataError for another line."""
    found = []
    for number, line in enumerate(_lines(file, "--analogies"), start=1):
        words = line.split()
        if not words or line.startswith((":", "#")):
            continue
        if len(words) != 4:
            raise DataError(f"{file} line {number}", f"has {len(words)} words", "Write four: man king woman queen")
        found.append((words[0], words[1], words[2], words[3]))
    return found


def read_pairs(file: Path) -> list[tuple[str, str, float]]:
    """Two words and how alike they are, a line each. Raises DataError for another line."""
    found = []
    for number, line in enumerate(_lines(file, "--pairs"), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                one, other, score = line.replace(",", " ").split()
                found.append((one, other, float(score)))
            except ValueError:
                raise DataError(f"{file} line {number}", "is no pair", "Write two words and a number: cup mug 8.5") from None
    return found


def read_vectors(file: Path, where: str) -> tuple[list[str], np.ndarray]:
    """Words and vectors of a text file in word2vec's format or GloVe's. Raises DataError for a line of another width, or where a
    number is none."""
    lines = _lines(file, where)
    first = lines[0].split() if lines else []
    said = [int(part) for part in first] if len(first) == 2 and all(part.isdigit() for part in first) else None
    names, rows, width = [], [], said[1] if said else None
    for number, line in enumerate(lines[1:] if said else lines, start=2 if said else 1):
        if not line.strip():
            continue
        name, *numbers = line.rstrip().split(" ")
        width = len(numbers) if width is None else width
        if len(numbers) != width:
            what = f"line {number} of {file} has {len(numbers)} numbers, not {width}"
            raise DataError(where, what, "Give a file in which every line has a word and as many numbers")
        try:
            rows.append(np.array(numbers, np.float32))
        except ValueError:
            raise DataError(where, f"line {number} of {file} has something that is no number", "Write numbers") from None
        names.append(name)
    if not names or not width:
        raise DataError(where, f"{file} has no vectors", "Give a file with a word and its numbers in every line")
    if said and said[0] != len(names):
        raise DataError(where, f"{file} says that it has {said[0]} words, and has {len(names)}", "Give the whole file")
    table = np.stack(rows)
    if not np.isfinite(table).all():
        raise DataError(where, f"a number of {file} is not finite", "Give vectors that are")
    return names, table


def write_vectors(words: Words, file: Path) -> None:
    """A text file in word2vec's format."""
    with file.open("w", encoding="utf-8") as out:
        out.write(f"{len(words.names)} {words.table.shape[1]}\n")
        for name, row in zip(words.names, words.table, strict=True):
            out.write(f"{name} {' '.join(f'{number:.6g}' for number in row)}\n")


def _lines(file: Path, where: str) -> list[str]:
    if not file.is_file():
        raise DataError(where, f"there is no file {file}", "Give a text file")
    try:
        return file.read_text("utf-8").split("\n")
    except UnicodeDecodeError:
        raise DataError(where, f"{file} is no text in UTF-8", "Give vectors as text: word2vec's or GloVe's format") from None
