"""Scaling: what more processes give a training, on paper, from what one gives.

A step of data-parallel training computes its gradients and sums them over all processes. A ring all-reduce sends every byte of
them 2 (n - 1) / n times through each link (Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms"), in 2 (n - 1)
messages. DistributedDataParallel sends while the backward pass still computes, which is about two thirds of a step (Li et al.
2020, arXiv:2006.15704). Shards (FSDP, ZeRO-3) gather the weights twice and scatter the gradients once: 1.5 times the bytes
(Rajbhandari et al. 2020, arXiv:1910.02054, section 7).
"""

from __future__ import annotations

from dataclasses import dataclass

BACKWARD = 2 / 3
"""The share of a step's computing behind which sending can hide."""


@dataclass(frozen=True)
class Link:
    """What processes are joined by: bytes a second one way, and the seconds that a message takes at least."""

    bandwidth: float
    latency: float


LINKS = {
    "NVLink 4 (one machine of 8)": Link(450e9, 5e-6),
    "InfiniBand NDR 400 Gbit/s": Link(50e9, 10e-6),
    "Ethernet 100 Gbit/s": Link(12.5e9, 30e-6),
    "Ethernet 10 Gbit/s": Link(1.25e9, 50e-6),
}
"""Nominal figures of the makers; what a program sees is 70 to 90 % of them."""


def gradient_bytes(parameters: int, bytes_each: int = 4, shards: bool = False) -> float:
    """Bytes that one process sends or receives in a step, before the ring's factor."""
    return parameters * bytes_each * (1.5 if shards else 1.0)


def ring_seconds(size: float, processes: int, link: Link) -> float:
    """Seconds of a ring all-reduce of `size` bytes."""
    if processes == 1:
        return 0.0
    return 2 * (processes - 1) / processes * size / link.bandwidth + 2 * (processes - 1) * link.latency


def efficiency(step: float, size: float, processes: int, link: Link, hidden: float = BACKWARD) -> float:
    """The share of `processes` times one process's speed that is reached, where a step of one process computes for `step` seconds
    and `size` bytes are summed; `hidden` is the share of it behind which sending can hide."""
    seen = max(0.0, ring_seconds(size, processes, link) - hidden * step)
    return step / (step + seen)


def table(parameters: int, step: float, processes: tuple[int, ...] = (2, 8, 16, 64)) -> tuple[list[str], list[list[str]]]:
    """Header and rows, as texts: the efficiency over each link for numbers of processes."""
    size = gradient_bytes(parameters)
    header = ["link", *(f"{count} processes" for count in processes)]
    rows = [[name, *(f"{efficiency(step, size, count, link):.0%}" for count in processes)] for name, link in LINKS.items()]
    return header, rows
