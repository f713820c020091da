"""Audit: every decision about retraining, one JSON line each, only ever appended and on the disk when it is taken.

How long ago something was is read from the clock of the system's uptime where it has been running since; the clock on the wall,
which may be set, counts across restarts alone. No record can be later than now, nor earlier than one before it: where the wall
says so, it is said, and the record counts as being from the next time that can be believed.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hfrecipes.durations import words
from hfrecipes.locking import writing
from hfrecipes.pointer import sync

log = logging.getLogger("hfrecipes")
BOOT = Path("/proc/sys/kernel/random/boot_id")
SLACK = 60.0
"""Seconds that two clocks may differ by."""
STARTED, RESUMED, SKIPPED, FAILED = "started", "resumed", "skipped", "failed"
PROMOTING, PROMOTED, REFUSED, SUPERSEDED = "promoting", "promoted", "refused", "superseded"
Record = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """A point in time: seconds since 1970 by the clock on the wall, and since the start `boot` of the system, which no setting of
    the clock changes; "" where the system does not say."""

    wall: float
    boot: str
    uptime: float


def moment() -> Moment:
    """Now."""
    if not BOOT.is_file():
        return Moment(time.time(), "", 0.0)
    return Moment(time.time(), BOOT.read_text("utf-8").strip(), time.clock_gettime(time.CLOCK_BOOTTIME))


class Audit:
    """The log in a file, which need not be there yet."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, event: str, token: int, **facts: Any) -> Record:
        """Add a record; it is on the disk when this returns. Raises ModelError where it cannot be written."""
        now = moment()
        record = {
            "time": datetime.fromtimestamp(now.wall, UTC).isoformat(timespec="seconds"),
            "wall": now.wall,
            "boot": now.boot,
            "uptime": now.uptime,
            "event": event,
            "token": token,
            **facts,
        }
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        with writing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("ab+") as stream:
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    line = line if stream.read(1) == b"\n" else b"\n" + line  # one that was cut short stays a line of its own
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
            sync(self.file.parent)
        return record

    def records(self) -> list[Record]:
        """Every record, the oldest first; a line that is none, such as one that was cut short, is said and passed over."""
        if not self.file.is_file():
            return []
        found = []
        for number, line in enumerate(self.file.read_bytes().splitlines(), start=1):
            try:
                record = json.loads(line)
                float(record["wall"]), float(record["uptime"]), str(record["boot"]), str(record["event"]), int(record["token"])
                found.append(record)
            except (ValueError, KeyError, TypeError):
                log.warning("%s: line %d is no record and is passed over", self.file, number)
        return found


def ages(records: Sequence[Mapping[str, Any]], now: Moment) -> tuple[list[float], list[str]]:
    """For each record how many seconds ago it was, and what there is to say about clocks that were not believed."""
    found = [now.wall - record["wall"] for record in records]
    moved, ahead, after = "", [], 0.0
    for place, record in reversed([*enumerate(records)]):
        same = record["boot"] and record["boot"] == now.boot
        age = now.uptime - record["uptime"] if same else found[place]
        if same and abs(age - found[place]) > SLACK and not moved:
            way = "back" if age > found[place] else "forward"
            span = words(abs(age - found[place]))
            moved = f"the clock was set {way} by {span} since the {record['event']} of {record['time']}: uptime counts"
        if age < -SLACK:
            ahead.append(record["time"])
            age = after
        found[place] = after = max(0.0, age)
    for place in range(1, len(found)):
        found[place] = min(found[place], found[place - 1])
    lines = [moved] if moved else []
    if ahead:
        lines.append(
            f"the log has {len(ahead)} from the future, the last of {ahead[0]}: each counts as being from the next one's time"
        )
    return found, lines
