"""Distributed: one process or many. Only the main one writes; a failure in it reaches all."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from hfrecipes.errors import HfRecipesError

T = TypeVar("T")
PATIENCE = timedelta(hours=12)
"""How long the other processes wait while the main one works alone."""


def processes() -> int:
    """How many processes run this program together (1 without a launcher)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def on_main(work: Callable[[], T]) -> T:
    """Do `work` in the main process while the others wait; all get its result, or its failure."""
    if processes() == 1:
        return work()
    from accelerate import PartialState
    from torch.distributed import broadcast_object_list

    PartialState(timeout=PATIENCE)
    told: list[tuple[T | None, str, int]] = [(None, "", 0)]
    failure: BaseException | None = None
    if is_main():
        try:
            told = [(work(), "", 0)]
        except BaseException as error:  # told to the other processes, then raised below
            failure = error
            told = [(None, f"process 0 failed: {error}", getattr(error, "exit_code", 1))]
    broadcast_object_list(told, src=0)
    if failure is not None:
        raise failure
    result, message, code = told[0]
    if message:
        raised = HfRecipesError(message)
        raised.exit_code = code
        raise raised
    return result  # type: ignore[return-value]
