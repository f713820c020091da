"""Faults: what goes wrong at which call, and how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock

STATUSES = (401, 403, 404, 409, 412, 429, 500, 503)
DROPPED, LOST, TRUNCATED, SLOW = "dropped", "lost", "truncated", "slow"
KINDS: tuple[int | str, ...] = (*STATUSES, DROPPED, LOST, TRUNCATED, SLOW)
"""A status is answered in place of the call; `dropped` closes the connection before the call is done, `lost` after it;
`truncated` sends half the body, `slow` waits before the answer of a call that was done."""


@dataclass
class Fault:
    """A fault at the next `left` calls: after `retry_after` seconds a client may try again; a slow answer takes `seconds`."""

    kind: int | str
    left: int = 1
    retry_after: int | None = None
    seconds: float = 0.0


@dataclass
class Faults:
    """The faults of each call, taken in the order in which they were set. `hit` counts those that happened."""

    planned: dict[str, list[Fault]] = field(default_factory=dict)
    hit: Counter[str] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def add(self, call: str, fault: Fault) -> None:
        """Plan a fault."""
        with self.lock:
            self.planned.setdefault(call, []).append(fault)

    def take(self, call: str) -> Fault | None:
        """The fault that a call meets now."""
        with self.lock:
            for fault in self.planned.get(call, []):
                if fault.left > 0:
                    fault.left -= 1
                    self.hit[call] += 1
                    return fault
            return None
