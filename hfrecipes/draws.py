"""Draws: the masks of dropout from a generator that takes an eighth of the time of PyTorch's own on a CPU.

A mask is drawn from numpy's SFC64, 16 bits for each number, and seeded by PyTorch's generator, whose seed and state decide every
draw as before. Chances are rounded to 65,536ths.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

STEPS = 2**16
"""Chances that 16 bits tell apart."""
_inside = False


@contextmanager
def quick() -> Iterator[None]:
    """Inside, `Tensor.bernoulli_` on the CPU, which is what every dropout draws with, is ours, in all threads."""
    import torch

    global _inside
    if _inside:
        yield
        return
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that a kernel is there already
        library.impl("bernoulli_.float", _bernoulli, "CPU")
    _inside = True
    try:
        yield
    finally:
        _inside = False
        del library  # which takes its kernel back


def _bernoulli(self: Tensor, p: float = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill a tensor with ones, each with the chance `p`, and zeros."""
    import numpy as np
    import torch

    under = round(p * STEPS)
    if under == STEPS:
        return self.fill_(1)
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    bits = np.random.SFC64(seed).random_raw(-(-self.numel() // 4)).view(np.int16)[: self.numel()]
    torch.lt(torch.from_numpy(bits).view(self.shape), under - STEPS // 2, out=self)
    return self
