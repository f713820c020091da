"""Limits: what one request may ask for, how much may be in flight, and what a refusal says."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from hfrecipes.errors import UserError


@dataclass(frozen=True)
class Limits:
    """`in_flight` rows are accepted at once, over all requests; up to `batch_rows` rows or `batch_characters` of text are
    answered together, and the first of them waits `wait_ms` for others. One request has at most `items` of `characters` each, in
    `size` bytes, and ends after `timeout` seconds."""

    in_flight: int = 256
    batch_rows: int = 128
    batch_characters: int = 100_000
    wait_ms: float = 2.0
    items: int = 128
    characters: int = 20_000
    size: int = 4_000_000
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for name, bound in asdict(self).items():
            if not bound > 0:
                raise UserError(f"--{name.replace('_', '-')}", f"{bound} is not above 0", "Give a positive number")
        if self.items > self.in_flight:
            what = f"{self.items} items a request are more than the {self.in_flight} rows in flight"
            raise UserError("--items", what, "Such a request would never be accepted: raise --in-flight")


class Refusal(Exception):
    """A request that gets no answer: an HTTP `status`, one `line`, and seconds after which to ask again."""

    def __init__(self, status: int, line: str, again: int | None = None) -> None:
        self.status, self.line, self.again = status, line, again
        super().__init__(line)

    @classmethod
    def of(cls, status: int, where: str, what: str, instead: str) -> Refusal:
        """In the form of the errors of the library: where, what, what instead."""
        return cls(status, str(UserError(where, what, instead)))

    @property
    def headers(self) -> dict[str, str]:
        """What HTTP wants beside a status."""
        told = {} if self.again is None else {"retry-after": str(self.again)}
        more = {401: {"www-authenticate": "Bearer"}, 408: {"connection": "close"}}
        return {**told, **more.get(self.status, {})}
