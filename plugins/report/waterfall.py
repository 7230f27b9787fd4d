"""The chain as steps that add up, also after rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

from diagnostics.records import CHAIN, Chain, Stage


@dataclass(frozen=True)
class Step:
    """One link, in tenths of a point of signal: `before - loss == after`, exactly."""

    stage: Stage
    before: int
    after: int

    @property
    def loss(self) -> int:
        return self.before - self.after


def tenths(signal: float) -> int:
    """Signal (1.0 = every image right) as whole tenths of a point (1000)."""
    return round(signal * 1000)


def steps(signal: Chain | None) -> tuple[Step, ...]:
    """The links from reference to answer. Rounded before they are subtracted, so that what is shown adds up; empty
    where any place was not measured."""
    if signal is None:
        return ()
    values = [float(getattr(signal, place)) for place in CHAIN]
    if not all(math.isfinite(value) for value in values):
        return ()
    levels = [tenths(value) for value in values]
    return tuple(
        Step(stage, before, after)  # type: ignore[arg-type]
        for stage, before, after in zip(CHAIN[1:], levels[:-1], levels[1:], strict=True)
    )
