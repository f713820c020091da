"""What reading stored rows costs, in a process of its own: ours from the feature store, or the peer's from `datasets` as torch.

    python -m tests.benchmarks.store_reading '{"side": "ours", "rows": 20000}' FOLDER

Writes the rows first where FOLDER has none. Reads random batches of 32 rows into padded arrays, and prints the microseconds of
CPU a row and how many MB of anonymous memory the process has gained from opening to the end.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hfrecipes.entries import padded
from hfrecipes.feature_store import Space, key_of

WIDTH, TOKENS, BATCH = 384, (4, 7), 32
FILE = 50_000
"""Rows of one file of the store."""
ROUNDS, BATCHES = 5, 500


def main(side: str, rows: int, folder: Path) -> dict[str, float]:
    """Write what is not there, then read."""
    build = {"ours": ours, "peer": peer}[side]
    with_rows = build(rows, folder)
    before = anonymous()
    read = with_rows()
    for begin in range(0, rows, BATCH):  # what the system maps page by page is mapped before the clock starts
        read(np.arange(begin, min(begin + BATCH, rows)))
    generator = np.random.default_rng(0)
    found = []
    for _ in range(ROUNDS):
        batches = [generator.integers(0, rows, BATCH) for _ in range(BATCHES)]
        start = time.process_time()
        for batch in batches:
            read(batch)
        found.append((time.process_time() - start) / BATCHES / BATCH * 1e6)
    return {"us": statistics.median(found), "mb": anonymous() - before}


Read = Callable[[np.ndarray], Any]


def ours(rows: int, folder: Path) -> Callable[[], Read]:
    """Rows of the store, as `features` pads them."""
    space = Space(folder / "ours", WIDTH, "uint16")
    if not space.folder.is_dir():
        for begin in range(0, rows, FILE):
            space.add((key(i), row.view(np.uint16)) for i, row in made(begin, min(begin + FILE, rows)))

    def opened() -> Read:
        stored = space.open([key(i) for i in range(rows)])
        return lambda batch: padded([stored[i] for i in batch.tolist()])

    return opened


def peer(rows: int, folder: Path) -> Callable[[], Read]:
    """The same rows in a data set of `datasets` in torch format, flat: nested lists cost 7 times as much."""
    import datasets

    datasets.disable_progress_bars()
    if not (folder / "peer").is_dir():
        features = datasets.Features({"states": datasets.Sequence(datasets.Value("float16"))})

        def write() -> Iterator[dict[str, Any]]:
            for _, row in made(0, rows):
                yield {"states": row.reshape(-1)}

        datasets.Dataset.from_generator(write, features=features, cache_dir=str(folder / "cache")).save_to_disk(folder / "peer")

    def opened() -> Read:
        from torch.nn.utils.rnn import pad_sequence

        stored = datasets.load_from_disk(str(folder / "peer")).with_format("torch")

        def read(batch: np.ndarray) -> Any:
            return pad_sequence([row.view(-1, WIDTH) for row in stored[batch.tolist()]["states"]], batch_first=True)

        return read

    return opened


def made(begin: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of four to six tokens of 16-bit numbers."""
    noise = np.random.default_rng(0).standard_normal((1000, TOKENS[1], WIDTH)).astype(np.float16)
    for i in range(begin, end):
        yield i, noise[i % 1000, : TOKENS[0] + i % (TOKENS[1] - TOKENS[0])]


def key(row: int) -> bytes:
    return key_of(row.to_bytes(8, "little"))


def anonymous() -> float:
    """MB of memory of this process that no file stands behind."""
    found = re.search(r"^Anonymous:\s+(\d+) kB", Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(), re.M)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    asked = json.loads(sys.argv[1])
    print(json.dumps(main(asked["side"], asked["rows"], Path(sys.argv[2]))))
