"""What the prediction cache costs, in a process of its own: `python -m tests.benchmarks.one_cache ENTRIES`.

Prints CPU microseconds of a hit (hash, lock, look-up, order), of a miss with what is kept then, and MB of memory that so many
answers take.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from hfrecipes import Cache

PASSES, ASKED = 5, 20_000


def resident() -> float:
    """MB of memory of this process."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4096 / 1e6


def measure(count: int) -> dict[str, float]:
    """The figures for so many answers, each a label with its score."""
    cache = Cache(entries=2 * count)
    cache.bind("a model", lambda answer: json.dumps(answer).encode(), json.loads)
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
    times = []
    for _ in range(PASSES):
        started = time.process_time()
        for text in asked:
            cache.get(cache.key(text))
        times.append(time.process_time() - started)
    assert cache.hits == PASSES * ASKED
    return {"hit_us": 1e6 * min(times) / ASKED, "miss_us": 1e6 * missed / count, "mb": mb}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
