"""Published figures of GPUs, and what share of them is taken to be reached: hours made of these are estimates."""

from __future__ import annotations

from dataclasses import dataclass

COMPUTE, BANDWIDTH = 0.35, 0.6
"""Shares of the peaks assumed to be reached in prefills and in writing token by token. Assumed, not measured here."""
RUNTIME = 1_000_000_000
"""Bytes set aside on a GPU for the runtime, its libraries' workspaces and fragments."""
DEFAULT = "a100-80"


@dataclass(frozen=True)
class Gpu:
    """Bytes of memory, dense bfloat16 operations a second, bytes a second between memory and chip: data-sheet peaks."""

    name: str
    memory: float
    flops: float
    bandwidth: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("l4", 24e9, 121e12, 300e9),
        Gpu("a100-40", 40e9, 312e12, 1555e9),
        Gpu("a100-80", 80e9, 312e12, 2039e9),
        Gpu("h100", 80e9, 989e12, 3350e9),
        Gpu("h200", 141e9, 989e12, 4800e9),
    )
}
