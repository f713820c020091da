"""Episodes: tasks of few examples, drawn from classes that were never learned from, each with a support and a query set.

The classes are parted once: those that a model learns from, those that choose the best epoch, and those that it is measured on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from hfrecipes.duplicates import plain
from hfrecipes.errors import DataError
from hfrecipes.value import Checked, hint, value

SPLITS = ("test", "validation", "train")


@value
class Episodes(Checked):
    """Tasks of few examples: `ways` classes with `shots` examples each to learn from, and `queries` of each to be asked.

    An epoch is `count` of them. Of the classes the share `validation` chooses the best epoch and the share `test` is measured on,
    in `measured` episodes; the others are learned from. `by` names a column whose values are kept together, such as the domain
    of a class: then its values are parted, not the classes. `without` leaves classes out.
    """

    ways: Annotated[int, Field(gt=1)] = 5
    shots: Annotated[int, Field(gt=0)] = 1
    queries: Annotated[int, Field(gt=0)] = 15
    count: Annotated[int, Field(gt=0)] = 100
    measured: Annotated[int, Field(gt=1)] = 600
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test: Annotated[float, Field(gt=0, lt=1)] = 0.3
    by: str | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Episode:
    """One task: the rows of its support, of shape (ways, shots), and of its queries, of shape (ways, queries). Raises DataError
    where a row is in both."""

    support: np.ndarray
    query: np.ndarray

    def __post_init__(self) -> None:
        if both := set(self.support.ravel().tolist()) & set(self.query.ravel().tolist()):
            raise DataError("episodes", f"row {min(both)} is in the support and in the query", "Ask what was not learned from")

    @property
    def rows(self) -> np.ndarray:
        """Its rows as one batch: the support class by class, then the queries class by class."""
        return np.concatenate([self.support.ravel(), self.query.ravel()])


def part(labels: Sequence[Any], groups: Sequence[Any] | None, asked: Episodes, seed: int) -> dict[str, list[Any]]:
    """The classes of each of `SPLITS`, no class in two of them; with `groups` no group of classes either. Raises DataError
    where they are too few."""
    homes: dict[Any, Any] = {}
    for label, group in zip(labels, labels if groups is None else groups, strict=True):
        if homes.setdefault(label, group) != group:
            what = f"the class '{label}' is in the groups '{homes[label]}' and '{group}'"
            raise DataError("episodes.by", what, "A class has one, so that no group is in two parts")
    if absent := [name for name in asked.without if name not in homes]:
        raise DataError("episodes.without", f"there is no class '{absent[0]}'", hint(absent[0], sorted(map(str, homes))))
    homes = {label: group for label, group in homes.items() if label not in asked.without}
    whole = sorted(set(homes.values()))
    drawn = [whole[i] for i in np.random.default_rng(seed).permutation(len(whole))]
    counts = {"test": round(asked.test * len(whole)), "validation": round(asked.validation * len(whole))}
    found: dict[str, list[Any]] = {}
    for name in SPLITS:
        mine = set(drawn[: counts.get(name, len(drawn))])
        drawn = drawn[len(mine) :]
        found[name] = sorted(label for label, group in homes.items() if group in mine)
        if len(found[name]) < asked.ways:
            what = f"{asked.ways} ways need {asked.ways} classes, and meta-{name} has {len(found[name])} of {len(homes)}"
            raise DataError("episodes.ways", what, "Write fewer ways, or other shares for `validation` and `test`")
    return found


class Draw:
    """Draws episodes of rows. `labels` has the class of each row, and `texts` what it says: of equal texts one is drawn, so that
    nothing is asked that stands in the support. Raises DataError where there are too few classes, or a class has too few rows."""

    def __init__(self, labels: Sequence[Any], asked: Episodes, texts: Sequence[str] | None = None) -> None:
        self.asked = asked
        groups: dict[Any, list[int]] = {}
        seen: set[str] = set()
        for i, label in enumerate(labels):
            said = plain(texts[i]) if texts is not None else str(i)
            if said not in seen:
                groups.setdefault(label, []).append(i)
                seen.add(said)
        self.groups = {label: np.array(groups[label]) for label in sorted(groups)}
        if len(self.groups) < asked.ways:
            what = f"{asked.ways} ways need {asked.ways} classes, and the rows have {len(self.groups)}"
            raise DataError("episodes.ways", what, "Write fewer ways, or give rows of more classes")
        check_sizes({label: len(rows) for label, rows in self.groups.items()}, asked)

    def one(self, generator: np.random.Generator) -> Episode:
        """An episode."""
        names = list(self.groups)
        chosen = generator.choice(len(names), self.asked.ways, replace=False)
        shots, every = self.asked.shots, self.asked.shots + self.asked.queries
        rows = np.stack([generator.choice(self.groups[names[i]], every, replace=False) for i in chosen])
        return Episode(rows[:, :shots], rows[:, shots:])

    def many(self, count: int, seed: Any) -> Iterator[Episode]:
        """So many episodes, the same ones for the same seed."""
        generator = np.random.default_rng(seed)
        for _ in range(count):
            yield self.one(generator)


def check_sizes(counts: Mapping[Any, int], asked: Episodes) -> None:
    """Refuse a class that has fewer different examples than an episode takes of it."""
    for label, count in counts.items():
        if count == 1:
            what = f"the class '{label}' has one example, which cannot be in the support and in the query"
            raise DataError("episodes", what, f"Give two or more, or write `without: [{label}]`")
        if count < asked.shots + asked.queries:
            key = "shots" if asked.shots >= count else "queries"
            what = (
                f"the class '{label}' has {count} different examples, fewer than {asked.shots} shots and {asked.queries} queries"
            )
            raise DataError(f"episodes.{key}", what, f"Write fewer, or `without: [{label}]`")
