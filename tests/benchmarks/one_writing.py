"""One side of a writing benchmark in a process of its own, on one thread: prompts in (a decoder's of 16 tokens), text out.

    python -m tests.benchmarks.one_writing '{"run": "runs/x", "graph": "cpu/int8", "rows": 8}'

`graph` is a graph of the run's bundle, or `pytorch` (transformers' `generate` in fp32). Prints CPU milliseconds a token of all
rows together, and the tokens.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

NEW, PROMPTS, PROMPT = 32, 8, 16


def main(run: str, graph: str, rows: int) -> None:
    """Write for `PROMPTS` rows of the run's own data, `rows` at a time."""
    import torch
    from datasets import load_from_disk

    from hfrecipes import Predictor

    torch.set_num_threads(1)
    writer = Predictor.open(run, graph, threads=1, min_new_tokens=NEW, max_new_tokens=NEW, do_sample=False)
    held = [writer.task.row(row) for row in load_from_disk(str(Path(run) / "data/validation_rows")).select(range(PROMPTS))]
    features = writer.task.encode(held, writer.tokens, writer.config)
    if not writer.config.get("is_encoder_decoder"):  # what is measured is writing, not reading
        features = [{name: entry[:PROMPT] for name, entry in each.items() if isinstance(entry, list)} for each in features]
    batches = [writer.task.collate(features[i : i + rows], writer.tokens) for i in range(0, PROMPTS, rows)]
    writer.engine(batches[0])
    best, tokens = float("inf"), []
    for _ in range(2):
        started = time.process_time()
        tokens = [line.tolist() for batch in batches for line in writer.engine(batch)["sequences"]]
        best = min(best, time.process_time() - started)
    print(json.dumps({"ms": 1000 * best / (NEW * PROMPTS), "tokens": tokens}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
