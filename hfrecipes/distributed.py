"""Distributed: one process or many. Only the main one writes; a failure in it reaches all."""

from __future__ import annotations

import atexit
import functools
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from hfrecipes.errors import HfRecipesError, UserError

if TYPE_CHECKING:
    from transformers import TrainingArguments

T = TypeVar("T")
EXPECTED = "HFRECIPES_PROCESSES"
"""The variable of the environment that says how many processes there have to be."""
PATIENCE = timedelta(hours=12)
"""How long the other processes wait while the main one works alone."""


def processes() -> int:
    """How many processes run this program together (1 without a launcher)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among them."""
    return int(os.environ.get("RANK", "0"))


def check_gpus(gpus: int) -> None:
    """Refuse several processes on one GPU of a machine that has `gpus` of them. Raises UserError."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true")
    if here > gpus > 0 and not on_cpu:
        what = f"{here} processes share {gpus} GPU{'s' * (gpus != 1)}, and each needs one of its own"
        raise UserError("launch", what, f"Start {gpus}, or write CUDA_VISIBLE_DEVICES= before it for processes on the CPU")


def describe(options: TrainingArguments) -> str:
    """In how many processes, on which device and in which precision a training runs."""
    count = processes()
    precision = "bf16 autocast" if options.bf16 else "fp16 autocast" if options.fp16 else "fp32"
    return f"{count} process{'es' * (count > 1)}, device {options.device}, {precision}"


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0


def wait() -> None:
    """Go on when all processes have come here."""
    if processes() > 1:
        from torch.distributed import barrier

        _together()
        barrier()


def gathered(item: T) -> list[T]:
    """What each of the processes has, in their order."""
    if processes() == 1:
        return [item]
    from torch.distributed import all_gather_object

    _together()
    found: list[Any] = [None] * processes()
    all_gather_object(found, item)
    return found


def on_main(work: Callable[[], T]) -> T:
    """Do `work` in the main process while the others wait; all get its result, or its failure."""
    if processes() == 1:
        return work()
    from torch.distributed import broadcast_object_list

    _together()
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


@functools.cache
def _together() -> Any:
    """The group of the processes, made when it is first needed. It is left before the interpreter ends, whose end its threads do
    not survive."""
    import torch
    from accelerate import PartialState

    check_gpus(torch.cuda.device_count())
    state = PartialState(timeout=PATIENCE)
    atexit.register(state.destroy_process_group)
    return state
