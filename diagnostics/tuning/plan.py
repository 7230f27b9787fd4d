"""What a tuning run is asked for, as plain data. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from medprobe.diagnostics.learning_rate import share_of_rate

Parts = Literal["connector-llm", "tower-connector-llm", "tower"]
PARTS: tuple[Parts, ...] = ("connector-llm", "tower-connector-llm", "tower")
WARM_UP = 0.05
"""Share of the steps over which the rate rises, before it falls as a cosine: the paper's schedule for its probes, since
it states none for tuning.
"""


class TuneError(RuntimeError):
    """The model cannot be tuned so; one sentence with the mend."""


@dataclass(frozen=True)
class TuningPlan:
    """The defaults are those customary for low-rank adapters, since the paper states none.

    `batch` images make a step, whatever the number of GPUs; of them `micro_batch` at a time pass through a GPU.
    `checkpointing`: layers are computed again on the way back instead of kept; None: on a GPU.
    """

    parts: Parts = "connector-llm"
    held_out: float = 0.5
    epochs: float = 3.0
    batch: int = 16
    micro_batch: int = 4
    rate: float = 1e-4
    rank: int = 16
    dropout: float = 0.05
    seed: int = 0
    max_images: int | None = None
    max_excluded: float = 0.01
    dtype: str | None = None
    checkpointing: bool | None = None
    save_every: int = 100

    @property
    def tunes_tower(self) -> bool:
        return self.parts != "connector-llm"

    @property
    def tunes_text(self) -> bool:
        """Whether connector and LLM are tuned."""
        return self.parts != "tower"

    def n_steps(self, n_images: int) -> int:
        return math.ceil(self.epochs * n_images / self.batch)

    def rate_at(self, step: int, n_steps: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate * share_of_rate(step, n_steps, WARM_UP)
