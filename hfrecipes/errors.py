"""Every error a user can cause, and the exit code that the command line gives it.

HfRecipesError              exit 1
├── CheckFailed             a check refused the release
├── NonFinite               a loss, a gradient or a weight is not finite
├── Preempted               exit 75: a training was asked to stop, and can go on
└── UserError               exit 2: one line, where · what · what to write instead
    ├── RecipeError         a key, a name or a value of a recipe
    ├── DataError           rows, columns or splits
    ├── ModelError          a checkpoint, a tokenizer or a bundle
    ├── RunError            the run folder
    └── DependencyError     an optional package that a feature needs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

SHOWN = 32
"""Rows that a message names."""


class HfRecipesError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class CheckFailed(HfRecipesError):
    """A check refused the release; the message names each failed check with its reason."""


class NonFinite(HfRecipesError):
    """A loss, a gradient or a weight is not finite. `step` counts from 1, `rows` are positions in the training split."""

    def __init__(self, what: str, step: int, rows: Sequence[int] = (), instead: str = "") -> None:
        self.what, self.step, self.rows, self.instead = what, step, tuple(rows), instead
        named = ", ".join(map(str, self.rows[:SHOWN])) + (", …" if len(self.rows) > SHOWN else "")
        of = f" (rows {named} of the training split)" if self.rows else ""
        super().__init__(f"train: {what} is not finite at step {step}{of}. {instead}".rstrip())

    def __reduce__(self) -> tuple[type[NonFinite], tuple[str, int, tuple[int, ...], str]]:
        return type(self), (self.what, self.step, self.rows, self.instead)


class Preempted(HfRecipesError):
    """A training was asked to stop by a signal, and committed a checkpoint. 75 is EX_TEMPFAIL of sysexits.h: try again later."""

    exit_code = 75

    def __init__(self, by: str, step: int) -> None:
        self.by, self.step = by, step
        super().__init__(f"train: stopped by {by} behind step {step}, which is kept. The same command goes on from there.")

    def __reduce__(self) -> tuple[type[Preempted], tuple[str, int]]:
        return type(self), (self.by, self.step)


class UserError(HfRecipesError):
    """A mistake in what the user gave: `where` it is, `what` is wrong, what to write `instead`."""

    exit_code = 2

    def __init__(self, where: str, what: str, instead: str = "") -> None:
        self.where, self.what, self.instead = where, what, instead
        said = f"{where}: {what.rstrip('.')}." + (f" {_ended(instead)}" if instead else "")
        super().__init__(" ".join(said.splitlines()))

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        return type(self), (self.where, self.what, self.instead)


class RecipeError(UserError):
    """A key, a name or a value of a recipe."""


class DataError(UserError):
    """Rows, columns or splits of a data set."""


class ModelError(UserError):
    """A checkpoint, a tokenizer or a bundle."""


class RunError(UserError):
    """The run folder."""


class DependencyError(UserError):
    """An optional package is not installed."""


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith("?") else f"{sentence.rstrip('.')}."


@contextmanager
def blamed(where: str) -> Iterator[None]:
    """Inside, what is wrong with a model is said of this place of the recipe."""
    try:
        yield
    except ModelError as error:
        raise ModelError(where, error.what, error.instead) from error
