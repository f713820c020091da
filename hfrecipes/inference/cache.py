"""Cache: answers that were given before, in memory and, where a file is given, for other processes and after a restart too.

The key is a hash of the text under the fingerprint of the model, so no model ever answers with what another one said.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hfrecipes.errors import UserError

WAITING = 256
"""Answers that are written to the file at once."""
LATER = 2
"""Entries of a past generation that are let go with each new one."""


class Cache:
    """Answers by text. At most `entries` are kept in memory, those that were asked for last: a generation of new ones and one of
    older ones, of which each that is asked for moves to the new. An answer older than `ttl` seconds is asked for anew.

    `file` is a SQLite data base that holds at most `filed` answers, the newest. It belongs to one model: one of another model, or
    of an earlier release, is emptied. Raises UserError where it is no such file. Threads may share a cache. `hits`, `misses` and
    `evictions` count from the beginning.
    """

    def __init__(
        self, entries: int = 100_000, file: str | Path | None = None, ttl: float | None = None, filed: int = 1_000_000
    ) -> None:
        if entries < 2:
            raise UserError("cache.entries", f"is {entries}", "Write 2 or more, or no cache")
        self.entries, self.ttl, self.filed = entries, ttl, filed
        self.file = None if file is None else Path(file)
        self.hits = self.misses = self.evictions = 0
        self._young: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}
        self._dying: dict[bytes, Any] = {}
        self._waiting: dict[bytes, tuple[bytes, float]] = {}
        self._lock = threading.Lock()
        self._base: sqlite3.Connection | None = None
        self._secret = b""
        self._write: Callable[[Any], bytes] = lambda answer: json.dumps(answer).encode()
        self._read: Callable[[bytes], Any] = json.loads

    def bind(self, fingerprint: str, write: Callable[[Any], bytes], read: Callable[[bytes], Any]) -> None:
        """Serve one model from now on: `write` and `read` turn its answers into bytes and back. Another model's answers go."""
        with self._lock:
            secret = hashlib.sha256(fingerprint.encode()).digest()
            if secret != self._secret:
                self._young, self._old, self._dying, self._waiting = {}, {}, {}, {}
            self._secret, self._write, self._read = secret, write, read
            if self.file is not None and self._base is None:
                atexit.register(self.flush)
            if self.file is not None:
                self._base = _open(self.file, secret.hex())

    def key(self, text: Any) -> bytes:
        """What a text, or the columns of a row, is found by."""
        said = text if isinstance(text, str) else json.dumps(text, sort_keys=True, ensure_ascii=False)
        return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16, key=self._secret).digest()

    def get(self, key: bytes) -> Any:
        """The answer, or None."""
        with self._lock:
            held = self._young.get(key)
            if held is None and (held := self._promoted(key)) is None:
                held = self._filed(key)
            if held is not None and self.ttl is not None:
                held = held[1] if time.time() - held[0] <= self.ttl else None
            if held is None:
                self.misses += 1
            else:
                self.hits += 1
            return held

    def put(self, key: bytes, answer: Any) -> None:
        """Keep an answer."""
        with self._lock:
            made = time.time()
            self._keep(key, self._dated(made, answer))
            if self._base is not None:
                self._waiting[key] = (self._write(answer), made)
                if len(self._waiting) >= WAITING:
                    self._flush()

    def flush(self) -> None:
        """Write what waits to the file."""
        with self._lock:
            self._flush()

    @property
    def ratio(self) -> float:
        """The share of questions that found an answer."""
        return self.hits / max(1, self.hits + self.misses)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _dated(self, made: float, answer: Any) -> Any:
        """What is kept: with the time where answers grow old. A number for each of a million is 80 MB."""
        return answer if self.ttl is None else (made, answer)

    def _promoted(self, key: bytes) -> Any:
        held = self._old.pop(key, None)
        if held is not None:
            self._keep(key, held)
        return held

    def _keep(self, key: bytes, held: Any) -> None:
        self._young[key] = held
        for _ in range(min(LATER, len(self._dying))):
            self._dying.popitem()
        if 2 * len(self._young) >= self.entries:
            self.evictions += len(self._old)
            self._dying, self._old, self._young = self._old, self._young, {}

    def _filed(self, key: bytes) -> Any:
        if self._base is None:
            return None
        select = "SELECT value, made FROM answers WHERE key = ?"
        row = self._waiting.get(key) or self._base.execute(select, (key,)).fetchone()
        if row is None:
            return None
        held = self._dated(float(row[1]), self._read(row[0]))
        self._keep(key, held)
        return held

    def _flush(self) -> None:
        if self._base is None or not self._waiting:
            return
        with self._base:
            self._base.executemany(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", [(key, *held) for key, held in self._waiting.items()]
            )
            self._waiting = {}
            [count] = self._base.execute("SELECT count(*) FROM answers").fetchone()
            if count > self.filed:
                doomed = count - self.filed + self.filed // 10
                self._base.execute("DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY made LIMIT ?)", (doomed,))
                self.evictions += doomed


def _open(file: Path, model: str) -> sqlite3.Connection:
    """The data base in a file, emptied where it belongs to another model."""
    with _explained(file):
        base = sqlite3.connect(file, check_same_thread=False, timeout=10)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        with base:
            base.execute("CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT)")
            base.execute("CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, value BLOB, made REAL) WITHOUT ROWID")
            row = base.execute("SELECT value FROM about WHERE name = 'model'").fetchone()
            if row is not None and row[0] != model:
                base.execute("DELETE FROM answers")
            base.execute("INSERT OR REPLACE INTO about VALUES ('model', ?)", (model,))
    return base


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise UserError("cache.file", f"{file} is no cache, or damaged: {error}", "Delete it, or name another file") from error
