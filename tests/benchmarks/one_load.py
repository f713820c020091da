"""Load on a service, from a process of its own: many clients that ask again as soon as they were answered.

    python -m tests.benchmarks.one_load '{"address": "127.0.0.1:8000", "clients": 8, "seconds": 5, "items": 1, "pause": 0}'

A client that is refused asks again after about `pause` seconds, each after others. Prints how many requests a second were
answered and refused, how many were lost (another status, or no answer), and milliseconds at quantiles. Plain sockets, which cost
less than a library's client.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any

from tests.benchmarks.one_labelling import texts

WARM = 0.5
"""Seconds at the beginning that do not count."""
GIVEN = 512


class Load:
    """What clients were told: milliseconds by status, those of the first half second left out."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.took: dict[int, list[float]] = {}
        self.lost = 0
        self.draw = random.Random(0)
        self.began = time.perf_counter()
        self.end = self.began + WARM + asked["seconds"]
        given = texts(GIVEN)
        count = asked["items"]
        self.bodies = [request([given[(i + j) % len(given)] for j in range(count)]) for i in range(0, len(given), count)]

    async def client(self, number: int) -> None:
        """Ask on one connection until the time is over."""
        host, port = self.asked["address"].rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        place = number
        while (started := time.perf_counter()) < self.end:
            writer.write(self.bodies[place % len(self.bodies)])
            place += 1
            try:
                status = await answered(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                self.lost += 1
                return
            if started > self.began + WARM:
                self.took.setdefault(status, []).append(1000 * (time.perf_counter() - started))
            if status == 503:
                await asyncio.sleep(self.asked["pause"] * self.draw.uniform(0.5, 1.5))
        writer.close()

    async def run(self) -> dict[str, Any]:
        """All clients at once."""
        await asyncio.gather(*(self.client(number) for number in range(self.asked["clients"])))
        fine, refused = (sorted(self.took.get(status, [])) for status in (200, 503))
        others = sum(len(found) for status, found in self.took.items() if status not in (200, 503))
        return {
            "answered": len(fine) / self.asked["seconds"],
            "refused": len(refused) / self.asked["seconds"],
            "lost": self.lost + others,
            "p50": quantile(fine, 0.5),
            "p99": quantile(fine, 0.99),
            "refused_p99": quantile(refused, 0.99),
        }


def request(inputs: list[str]) -> bytes:
    """The bytes of a request."""
    body = json.dumps({"inputs": inputs}).encode()
    return b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of the next response, which is read to its end."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])


def quantile(found: list[float], share: float) -> float:
    """A quantile of sorted numbers; 0 without any."""
    return found[min(len(found) - 1, int(share * len(found)))] if found else 0.0


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(json.loads(sys.argv[1])).run())))
