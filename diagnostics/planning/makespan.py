"""How long a set of jobs takes on a number of GPUs."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """One model: hours on the GPUs it needs at once."""

    hours: float
    gpus: int


def whole_models(jobs: Sequence[Job], n_gpus: int) -> float | None:
    """Hours when a model stays on its GPUs for all its data sets, as under pytest-xdist: the longest job first, each on
    the GPUs free earliest (LPT; Graham 1969: at most 4/3 of the best for jobs of one GPU). None where one does not fit.
    """
    if any(job.gpus > n_gpus for job in jobs):
        return None
    free = [0.0] * n_gpus
    for job in sorted(jobs, key=lambda job: (-job.hours, -job.gpus)):
        taken = [heapq.heappop(free) for _ in range(job.gpus)]
        end = max(taken) + job.hours
        for _ in taken:
            heapq.heappush(free, end)
    return max(free)


def shards(jobs: Sequence[Job], n_gpus: int) -> float | None:
    """Hours when the images of a model may be spread over all GPUs: the work divided evenly, loading not counted, so a
    lower bound. None where one model does not fit.
    """
    if any(job.gpus > n_gpus for job in jobs):
        return None
    # A model on g GPUs leaves those idle that make up no further g.
    return sum(job.hours / (n_gpus // job.gpus) for job in jobs)
