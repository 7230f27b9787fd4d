"""The learning rate of everything that is trained here: probes, reference networks, adapters. Imports no torch."""

from __future__ import annotations

import math


def share_of_rate(step: int, n_steps: int, warm_up: float) -> float:
    """The share of the full learning rate at `step`, counted from 0.

    It rises linearly over the first `warm_up` (a share) of the steps, then falls to 0 as half a cosine (Loshchilov and
    Hutter, arXiv 1608.03983). transformers.get_cosine_schedule_with_warmup rises one step later: its first step has a
    rate of 0 and trains nothing.
    """
    n_rising = max(1, round(warm_up * n_steps))
    if step < n_rising:
        return (step + 1) / n_rising
    return 0.5 * (1 + math.cos(math.pi * (step - n_rising) / max(1, n_steps - n_rising)))
