"""Which place is named, from the signals of the hybrids.

A place is named only if the second checkpoint, as it ships, is better, the place's effect exceeds every other beyond
the interval, and single swaps agree in both directions: the second checkpoint's part alone gives back RECOVERED of what
the model lacks, and no less than any other part; and the second checkpoint loses by the model's part. What the model
lacks is counted from chance where the model answers below it, since whatever breaks such a model lifts it there. Less
than RECOVERED is no agreement: between checkpoints that were trained apart no part fits the other, and a part that does
not fit may lift a model above chance by luck (it did in 2 of 24 such pairs of benchmarks/causes.py). Losses are not
compared between places, since misfit makes them large. All intervals are of paired differences over the same resamples
of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.causes.games import Game
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.records.cause import Hybrid, Modules, Prefix, Swap
from medprobe.diagnostics.records.chain import PLACES, Place
from medprobe.diagnostics.scores import TIED, signal_of

RECOVERED = 0.5
"""Share that counts as giving back: of what the model lacks, by a place that is named; of what that place gives back,
by the part of it (a prefix of its layers, a setting) that holds the cause.
"""
NO_DIFFERENCE = "no difference: these images do not show the second checkpoint to be better"
WORSE = "no loss to explain: the second checkpoint answers worse than the model"


@dataclass(frozen=True)
class Signals:
    """Signals of n readings of the same images: `point` [n], and `drawn` [n, n_resamples] under resampling."""

    point: Floats
    drawn: Floats

    @classmethod
    def of(cls, predictions: Ints, labels: Ints, resamples: Resamples, n_classes: int) -> Signals:
        """From [n, n_images] predictions."""
        point = [signal_of(labels, row, n_classes) for row in predictions]
        return cls(np.array(point), np.array([resamples.signal(row) for row in predictions]))

    def change(self, before: int, after: int) -> tuple[float, tuple[float, float]]:
        """The signal of one reading less that of another, with its interval."""
        return float(self.point[after] - self.point[before]), interval(self.drawn[after] - self.drawn[before])


@dataclass(frozen=True)
class Finding:
    module: Place | None
    certain: bool
    reason: str
    difference: float
    difference_ci: tuple[float, float]
    effects: Modules
    ci: dict[Place, tuple[float, float]]
    swaps: dict[Place, Swap]
    hybrids: list[Hybrid]


def judge(signals: Signals, game: Game) -> Finding:
    """The finding from the signals of the hybrids in the order of `game.rows`. An input that is no player has an effect
    of exactly 0.
    """
    effects, drawn = game.matrix @ signals.point, game.matrix @ signals.drawn
    module, reason = _name(signals, game, effects, drawn)
    difference, difference_ci = signals.change(0, -1)
    absent = [place for place in PLACES if place not in game.players]
    return Finding(
        module=module,
        certain=module is not None and game.both_ways,
        reason=reason,
        difference=difference,
        difference_ci=difference_ci,
        effects=Modules(**dict.fromkeys(absent, 0.0), **dict(zip(game.players, map(float, effects), strict=True))),
        ci={
            **dict.fromkeys(absent, (0.0, 0.0)),
            **{place: interval(values) for place, values in zip(game.players, drawn, strict=True)},
        },
        swaps={
            **dict.fromkeys(absent, Swap(gain=0, gain_ci=(0, 0), loss=0, loss_ci=(0, 0))),
            **{place: _swap(signals, game, place) for place in game.players if place in game.gains},
        },
        hybrids=[
            Hybrid(swapped=list(row), signal=float(point), ci=interval(values))
            for row, point, values in zip(game.rows, signals.point, signals.drawn, strict=True)
        ],
    )


def guilty_layer(prefixes: Sequence[Prefix]) -> int | None:
    """The last layer of the shortest prefix that, as every longer one tried, gives back RECOVERED of what the whole
    module does; None where it has one layer. `prefixes` go from none of the layers to all.
    """
    needed = prefixes[0].signal + RECOVERED * (prefixes[-1].signal - prefixes[0].signal)
    short = max(i for i, prefix in enumerate(prefixes) if prefix.signal < needed)
    return prefixes[short + 1].layers - 1 if prefixes[-1].layers > 1 else None


def no_loss(difference: Floats) -> str | None:
    """Why there is nothing to explain, from resampled differences, second checkpoint less model; None where it is
    better.
    """
    low, high = interval(difference)
    return None if low > 0 else WORSE if high < 0 else NO_DIFFERENCE


def _name(signals: Signals, game: Game, effects: Floats, drawn: Floats) -> tuple[Place | None, str]:
    nothing = no_loss(signals.drawn[-1] - signals.drawn[0])
    if nothing is not None:
        return None, nothing
    players = game.players
    top = int(effects.argmax())
    name = players[top]
    rivals = [i for i in range(len(players)) if i != top and _low(drawn[top] - drawn[i]) <= TIED]
    loses = _low(_steps(signals, game.losses[name])) > 0
    gains, better = True, []
    if name in game.gains:
        alone = {place: signals.drawn[after] for place, (_, after) in game.gains.items()}
        gains = _low(alone[name] - _recovered(signals)) > 0
        better = [place for place in alone if _low(alone[place] - alone[name]) > 0]
    if not rivals and not better and gains and loses:
        agree = "single swaps in both directions agree" if name in game.gains else "the second checkpoint loses by it"
        return name, f"its effect exceeds that of every other place, and {agree}"
    below = _below_both(signals)
    if below is not None:
        taken = _listed(game.rows[below])
        return None, f"interaction: with {taken} of the second checkpoint the answer falls below both checkpoints"
    if rivals:
        together = _listed([players[i] for i in sorted([top, *rivals])])
        return None, f"shared between {together}: these images cannot tell which has the larger effect"
    if better:
        return None, f"{name} has the largest effect, but swapped alone, {better[0]} lifts the model more"
    which = "gives back half of what the model lacks" if not gains else "costs the second checkpoint anything"
    return None, f"{name} has the largest effect, but nothing shows that swapping it alone {which}"


def _recovered(signals: Signals) -> Floats:
    """What a part must reach alone: RECOVERED of the way from the model, or chance, to the second checkpoint."""
    model = np.maximum(signals.drawn[0], 0)
    return np.asarray(model + RECOVERED * (signals.drawn[-1] - model))


def _low(values: Floats) -> float:
    """The lower bound of the 95 percent interval."""
    return float(np.quantile(values, ALPHA / 2))


def _steps(signals: Signals, step: tuple[int, int]) -> Floats:
    before, after = step
    return np.asarray(signals.drawn[after] - signals.drawn[before])


def _below_both(signals: Signals) -> int | None:
    """The hybrid whose signal lies farthest below those of both checkpoints, if one does beyond its interval.

    All hybrids between the two are looked at, so each at its part of ALPHA (Bonferroni).
    """
    lower = np.minimum(signals.drawn[0], signals.drawn[-1])
    margin = signals.drawn[1:-1] - lower
    clear = np.flatnonzero(np.quantile(margin, 1 - ALPHA / len(margin), axis=1) < 0)
    return int(clear[signals.point[1:-1][clear].argmin()]) + 1 if len(clear) else None


def _swap(signals: Signals, game: Game, place: Place) -> Swap:
    gain, gain_ci = signals.change(*game.gains[place])
    loss, loss_ci = signals.change(*game.losses[place])
    return Swap(gain=gain, gain_ci=gain_ci, loss=loss, loss_ci=loss_ci)


def _listed(places: Sequence[Place]) -> str:
    *most, last = places
    return f"{', '.join(most)} and {last}" if most else last
