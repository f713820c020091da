"""What the prediction cache costs, in a process of its own: `python -m tests.benchmarks.one_cache RUN ENTRIES`.

Prints CPU microseconds of a text that the predictor of a run knows (hash, lock, look-up, order, and the call itself), of the
cache alone in it, of a miss with what is kept then, and MB of memory that so many answers take.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hfrecipes import Cache, Predictor

PASSES, ASKED = 5, 20_000


def resident() -> float:
    """MB of memory of this process."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4096 / 1e6


def measure(run: str, count: int) -> dict[str, float]:
    """The figures for so many answers, each a label with its score."""
    cache = Cache(entries=2 * count)
    predictor = Predictor.open(run, threads=1, cache=cache)
    texts = [f"my card {i} has not come yet" for i in range(count)]
    before, started = resident(), time.process_time()
    for i, text in enumerate(texts):
        key = cache.key(text)
        assert cache.get(key) is None
        cache.put(key, ("card_arrival", i / count))
    missed = time.process_time() - started
    mb = resident() - before
    rng = random.Random(0)
    asked = [
        rng.choice(texts).encode().decode() for _ in range(ASKED)
    ]  # a question has just come: no text that lies among a million
    unknown = cache.misses
    hit, alone = microseconds(predictor, asked), microseconds(lambda text: cache.get(cache.key(text)), asked)
    assert cache.misses == unknown
    return {"hit_us": hit, "alone_us": alone, "miss_us": 1e6 * missed / count, "mb": mb}


def microseconds(call: Callable[[str], Any], asked: list[str]) -> float:
    """CPU microseconds of a call with each of the texts, in the fastest pass."""
    times = []
    for _ in range(PASSES):
        started = time.process_time()
        for text in asked:
            call(text)
        times.append(time.process_time() - started)
    return 1e6 * min(times) / len(asked)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
