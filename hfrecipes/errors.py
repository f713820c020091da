"""Every error a user can cause, and the exit code that the command line gives it.

HfRecipesError              exit 1
├── CheckFailed             a check refused the release
└── UserError               exit 2: one line, where · what · what to write instead
    ├── RecipeError         a key, a name or a value of a recipe
    ├── DataError           rows, columns or splits
    ├── ModelError          a checkpoint, a tokenizer or a bundle
    ├── RunError            the run folder
    └── DependencyError     an optional package that a feature needs
"""

from __future__ import annotations


class HfRecipesError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class CheckFailed(HfRecipesError):
    """A check refused the release; the message names each failed check with its reason."""


class UserError(HfRecipesError):
    """A mistake in what the user gave: `where` it is, `what` is wrong, what to write `instead`."""

    exit_code = 2

    def __init__(self, where: str, what: str, instead: str = "") -> None:
        self.where, self.what, self.instead = where, what, instead
        super().__init__(f"{where}: {what.rstrip('.')}." + (f" {_ended(instead)}" if instead else ""))

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
