"""Folds: the rows of a training cut so that each is held out once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from pydantic_core import PydanticCustomError

from hfrecipes.errors import DataError
from hfrecipes.value import Checked, keywords, value


@value
class Validate(Checked):
    """Cross-validation: `folds` models are trained, each on all training rows but those of its fold, and answer those.

    Each class is in proportion in every fold where rows have one. `group` names a column: rows that share its value (one
    customer, one document) stay in one fold. `time` names a column to sort by: each fold is answered by a model that learned
    from earlier rows alone, and the earliest rows are in no fold.
    """

    folds: Annotated[int, Field(gt=1)] = 5
    group: str | None = None
    time: str | None = None

    @classmethod
    def read(cls, given: Any) -> Any:
        """Accept the number alone; refuse both columns at once."""
        given = {"folds": given} if isinstance(given, int) else given
        if keywords(given).get("group") and keywords(given).get("time"):
            raise PydanticCustomError("validate", "`group` and `time` do not go together. Write one of them")
        return super().read(given)

    def cut(
        self, classes: Sequence[Any] | None, groups: Sequence[Any] | None, times: Sequence[Any] | None, count: int, seed: int
    ) -> list[tuple[list[int], list[int]]]:
        """For each fold the positions of the rows to learn from and of the rows to answer, of `count` rows with those `classes`,
        `groups` or `times`. Raises DataError where there are too few."""
        if times is not None:
            return self._by_time(times)
        units = list(groups) if groups is not None else list(range(count))
        names = list(dict.fromkeys(units))
        if len(names) < self.folds:
            unit = "rows" if groups is None else "groups"
            what = f"{self.folds} folds need {self.folds} {unit} or more, and there are {len(names)}"
            raise DataError("validate.folds", what, "Write fewer folds, or give more rows")
        place = self._dealt(names, classes if groups is None else None, seed)
        folds = np.array([place[unit] for unit in units])
        return [(np.flatnonzero(folds != k).tolist(), np.flatnonzero(folds == k).tolist()) for k in range(self.folds)]

    def _dealt(self, names: Sequence[Any], classes: Sequence[Any] | None, seed: int) -> dict[Any, int]:
        """The fold of each row or group: those of a class are dealt one after the other, in an order drawn at random."""
        order = np.random.default_rng(seed).permutation(len(names))
        ranked = sorted(order.tolist(), key=lambda i: str(classes[i])) if classes is not None else order.tolist()
        return {names[i]: turn % self.folds for turn, i in enumerate(ranked)}

    def _by_time(self, times: Sequence[Any]) -> list[tuple[list[int], list[int]]]:
        order = sorted(range(len(times)), key=lambda i: times[i])
        parts = np.array_split(np.array(order), self.folds + 1)
        if min(map(len, parts)) < 2:
            what = f"{self.folds} folds in time need {2 * (self.folds + 1)} rows or more, and there are {len(times)}"
            raise DataError("validate.folds", what, "Write fewer folds, or give more rows")
        return [(np.concatenate(parts[: k + 1]).tolist(), parts[k + 1].tolist()) for k in range(self.folds)]
