"""Which module is named, from the signals of the sixteen hybrids.

A module is named only if the second checkpoint is better, its Shapley value exceeds every other beyond the interval,
and single swaps agree in both directions: with the second checkpoint's module the model answers better than itself and
than chance, and no worse than with any other; and the second checkpoint loses by the model's. Chance, since whatever
breaks a model that answers systematically wrong lifts it there. Losses are not compared between modules, since modules
that do not fit each other make them large; misfit makes no gain. All intervals are of paired differences over the same
resamples of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnostics.causes.shapley import coalitions, weights
from diagnostics.judging import ALPHA, Resamples, interval
from diagnostics.records import STAGES, Hybrid, Modules, Prefix, Stage, Swap
from diagnostics.scores import balanced_accuracy, signal

COALITIONS = coalitions(len(STAGES))
"""The hybrids, as which modules come from the second checkpoint: none first, all last."""
NONE = COALITIONS[0]
RECOVERED = 0.5
"""Share of what the named module gives back that a prefix of its layers must give back to hold the cause."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Signals:
    """Signals of n readings of the same images: `point` [n], and `drawn` [n, n_resamples] under resampling."""

    point: Floats
    drawn: Floats

    @classmethod
    def of(cls, predictions: Ints, labels: Ints, resamples: Resamples, n_classes: int) -> Signals:
        """From [n, n_images] predictions."""
        point = [signal(balanced_accuracy(labels, row, n_classes), n_classes) for row in predictions]
        return cls(np.array(point), np.array([resamples.signal(row) for row in predictions]))


@dataclass(frozen=True)
class Finding:
    module: Stage | None
    reason: str
    difference: float
    difference_ci: tuple[float, float]
    effects: Modules
    ci: dict[Stage, tuple[float, float]]
    swaps: dict[Stage, Swap]
    hybrids: list[Hybrid]


def only(stage: Stage) -> tuple[bool, ...]:
    """The hybrid with one module of the second checkpoint."""
    return tuple(one == stage for one in STAGES)


def judge(signals: Signals) -> Finding:
    """The finding from the signals of the hybrids in the order of COALITIONS."""
    matrix = weights(len(STAGES))
    effects, drawn = matrix @ signals.point, matrix @ signals.drawn
    module, reason = _name(signals, effects, drawn)
    return Finding(
        module=module,
        reason=reason,
        difference=float(signals.point[-1] - signals.point[0]),
        difference_ci=interval(signals.drawn[-1] - signals.drawn[0]),
        effects=Modules(**dict(zip(STAGES, map(float, effects), strict=True))),
        ci={stage: interval(values) for stage, values in zip(STAGES, drawn, strict=True)},
        swaps={stage: _swap(signals, stage) for stage in STAGES},
        hybrids=[
            Hybrid(swapped=[*_swapped(members)], signal=float(point), ci=interval(values))
            for members, point, values in zip(COALITIONS, signals.point, signals.drawn, strict=True)
        ],
    )


def guilty_layer(prefixes: Sequence[Prefix]) -> int | None:
    """The last layer of the shortest prefix that, as every longer one tried, gives back RECOVERED of what the whole
    module does; None where it has one layer. `prefixes` go from none of the layers to all.
    """
    needed = prefixes[0].signal + RECOVERED * (prefixes[-1].signal - prefixes[0].signal)
    short = max(i for i, prefix in enumerate(prefixes) if prefix.signal < needed)
    return prefixes[short + 1].layers - 1 if prefixes[-1].layers > 1 else None


def _name(signals: Signals, effects: Floats, drawn: Floats) -> tuple[Stage | None, str]:
    difference = signals.drawn[-1] - signals.drawn[0]
    low, high = interval(difference)
    if low <= 0:
        if high < 0:
            return None, "no loss to explain: the second checkpoint answers worse than the model"
        return None, "no difference: these images do not show the second checkpoint to be better"
    top = int(effects.argmax())
    rivals = [i for i in range(len(STAGES)) if i != top and np.quantile(drawn[top] - drawn[i], ALPHA / 2) <= 0]
    alone = signals.drawn[[COALITIONS.index(only(stage)) for stage in STAGES]]
    gains = np.quantile(alone[top] - np.maximum(signals.drawn[0], 0), ALPHA / 2) > 0
    loses = _swap(signals, STAGES[top]).loss_ci[0] > 0
    better = [i for i in range(len(STAGES)) if np.quantile(alone[i] - alone[top], ALPHA / 2) > 0]
    if not rivals and not better and gains and loses:
        return STAGES[top], "its effect exceeds that of every other module, and single swaps in both directions agree"
    below = _below_both(signals)
    if below is not None:
        taken = " and ".join(_swapped(COALITIONS[below]))
        return None, f"interaction: with {taken} of the second checkpoint the answer falls below both checkpoints"
    if rivals:
        names = [STAGES[i] for i in sorted([top, *rivals])]
        together = f"{', '.join(names[:-1])} and {names[-1]}"
        return None, f"shared between {together}: these images cannot tell which has the larger effect"
    if better:
        return (
            None,
            f"{STAGES[top]} has the largest effect, but swapped alone, {STAGES[better[0]]} lifts the model more",
        )
    which = "lifts the model above itself and chance" if not gains else "costs the second checkpoint anything"
    return None, f"{STAGES[top]} has the largest effect, but nothing shows that swapping it alone {which}"


def _below_both(signals: Signals) -> int | None:
    """The hybrid whose signal lies farthest below those of both checkpoints, if one does beyond its interval.

    Fourteen hybrids are looked at, so each at a fourteenth of ALPHA (Bonferroni).
    """
    lower = np.minimum(signals.drawn[0], signals.drawn[-1])
    margin = signals.drawn[1:-1] - lower
    clear = np.flatnonzero(np.quantile(margin, 1 - ALPHA / len(margin), axis=1) < 0)
    return int(clear[signals.point[1:-1][clear].argmin()]) + 1 if len(clear) else None


def _swap(signals: Signals, stage: Stage) -> Swap:
    alone = COALITIONS.index(only(stage))
    without = COALITIONS.index(tuple(not member for member in only(stage)))
    return Swap(
        gain=float(signals.point[alone] - signals.point[0]),
        gain_ci=interval(signals.drawn[alone] - signals.drawn[0]),
        loss=float(signals.point[-1] - signals.point[without]),
        loss_ci=interval(signals.drawn[-1] - signals.drawn[without]),
    )


def _swapped(members: tuple[bool, ...]) -> list[Stage]:
    return [stage for stage, member in zip(STAGES, members, strict=True) if member]
