"""Fast path: what makes a training faster in this process and changes no result beyond the last digits.

`collector` has Python's garbage collector pass over what is there when the training begins: the Trainer asks for a collection at
the start, and in a process that has imported PyTorch and transformers each looks at a million objects in a quarter of a second.
`attention_kernels` (GPUs) leaves cuDNN's attention out, which plans anew for each shape of a batch: on an H200 the
first 122 steps of MiniLM took 96 ms each with it and 34 without, and 29 each later on.
`first_token`, `embedding_rows` and `packed_rows` are the model's own (see `lighter.py`); with the first, the last and
`dropout_masks` dropout draws other numbers, as with another seed, and where rows are packed a step has rows of all lengths. The
rest of the fast path has names of its own in `train:`: bf16 autocast (`bf16`), rows of like length together
(`train_sampling_strategy`) and the fused optimizer (`optim`, or `optimizer:`).
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal, get_args

from hfrecipes import draws

Setting = Literal[
    "allocator",
    "attention_kernels",
    "collector",
    "matmul_precision",
    "embedding_rows",
    "dropout_masks",
    "first_token",
    "packed_rows",
]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
"""Those that a recipe has by itself."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of glibc's malloc.h."""


@contextmanager
def taken(wanted: Sequence[Setting], bf16: bool) -> Iterator[list[str]]:
    """Inside, the settings of the process that are wanted and have an effect here are made; gives their names."""
    import torch

    found = ["allocator"] if "allocator" in wanted and keep_memory() else []
    before = torch.get_float32_matmul_precision()
    if "matmul_precision" in wanted and not bf16 and rounds_like_fp32():
        torch.set_float32_matmul_precision("medium")
        found.append("matmul_precision")
    frozen = "collector" in wanted and gc.get_freeze_count() == 0
    if frozen:
        gc.freeze()
        found.append("collector")
    plans = "attention_kernels" in wanted and torch.cuda.is_available() and torch.backends.cuda.cudnn_sdp_enabled()
    if plans:
        torch.backends.cuda.enable_cudnn_sdp(False)
        found.append("attention_kernels")
    quick = "dropout_masks" in wanted and not torch.accelerator.is_available()
    if quick:
        found.append("dropout_masks")
    try:
        with draws.quick() if quick else nullcontext():
            yield found
    finally:
        if frozen:
            gc.unfreeze()
        if plans:
            torch.backends.cuda.enable_cudnn_sdp(True)
        torch.set_float32_matmul_precision(before)


def keep_memory() -> bool:
    """Let glibc keep the memory of a step for the next one, instead of giving every large array back to the system and faulting
    it in again. False where the C library is another."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    options = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 * 2**20))
    return mallopt is not None and [mallopt(option, entry) for option, entry in options] == [1, 1, 1]


def rounds_like_fp32() -> bool:
    """Whether "medium" products of fp32 matrices keep fp32's accuracy: they do on AMD's processors (8e-5 at the most); where
    there is AMX they are computed in bf16."""
    import torch

    info = Path("/proc/cpuinfo")
    amd = info.is_file() and "AuthenticAMD" in info.read_text("utf-8")
    amx = any(name.startswith("amx") and has for name, has in torch.cpu.get_capabilities().items())
    return amd and not amx and not torch.cuda.is_available()
