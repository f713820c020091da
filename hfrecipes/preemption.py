"""Preemption: a training that is asked to stop finishes its step, commits a checkpoint and ends; a second signal ends it now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from hfrecipes import distributed
from hfrecipes.errors import Preempted

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Preemption(TrainerCallback):
    """Ends a training with `Preempted` behind the first checkpoint after a signal. In several processes a signal to one of them
    stops all, at the same step."""

    def __init__(self) -> None:
        self.asked = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Heeds SIGTERM and SIGINT while the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def heed(number: int, _: FrameType | None) -> None:
            self.asked = number
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)

        for number in SIGNALS:
            signal.signal(number, heed)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Have a checkpoint written now; at the end of an epoch behind its evaluation, which would be left out otherwise."""
        self.asked = max(distributed.gathered(self.asked))
        ends = state.epoch is not None and float(state.epoch).is_integer()
        control.should_save = control.should_save or (bool(self.asked) and not ends)

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Have a checkpoint written."""
        control.should_save = control.should_save or bool(self.asked)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """End here."""
        if self.asked:
            raise Preempted(signal.Signals(self.asked).name, state.global_step)
