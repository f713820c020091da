"""The machine that figures come from: how much bf16 can gain depends on the processor alone."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import torch

ROWS, UNITS, WIDE = 1024, 384, 1536
ROUNDS, PRODUCTS = 5, 10


def describe() -> str:
    """The processor, and what one thread of it computes in a product of the sizes of MiniLM's feed-forward layers."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text("utf-8"), re.M) if info.is_file() else None
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        fp32, bf16 = (speed(dtype) for dtype in (torch.float32, torch.bfloat16))
    finally:
        torch.set_num_threads(threads)
    ratio = f"bf16 is {bf16 / fp32:.1f} times fp32 ({bf16:.0f} over {fp32:.0f} GFLOP/s)"
    return f"{found[1] if found else 'processor unknown'}, torch {torch.__version__}, one thread: {ratio}"


def speed(dtype: torch.dtype) -> float:
    """GFLOP/s of a linear layer."""
    rows, weight = torch.randn(ROWS, UNITS).to(dtype), torch.randn(WIDE, UNITS).to(dtype)
    seconds = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(PRODUCTS):
            torch.nn.functional.linear(rows, weight)
        seconds.append(time.process_time() - start)
    return 2 * ROWS * UNITS * WIDE * PRODUCTS / statistics.median(seconds) / 1e9
