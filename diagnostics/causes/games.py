"""The games whose players are the places where a cause can sit: which hybrids are read, and what they say of each.

A hybrid is named by the places that come from the second checkpoint. With `input` among them it has the second
checkpoint's processor, template and numbers of the configuration, else the model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medprobe.diagnostics.arrays import Floats
from medprobe.diagnostics.causes.shapley import coalitions, weights
from medprobe.diagnostics.records.chain import PLACES, Place

Row = tuple[Place, ...]


@dataclass(frozen=True)
class Game:
    """rows: the hybrids; the first is the model, the last the second checkpoint as it ships.
    matrix: [n_players, n_rows]; times the values of the rows it gives the players' effects.
    gains, losses: for each player the rows before and after it is swapped alone, into the model and out of the second
    checkpoint.
    """

    players: tuple[Place, ...]
    rows: list[Row]
    matrix: Floats
    gains: dict[Place, tuple[int, int]]
    losses: dict[Place, tuple[int, int]]

    @property
    def both_ways(self) -> bool:
        """Whether every player can be swapped alone in both directions."""
        return set(self.gains) == set(self.players)


def whole(players: Sequence[Place]) -> Game:
    """All hybrids, and exact Shapley values."""
    rows = [
        tuple(place for place, member in zip(players, members, strict=True) if member)
        for members in coalitions(len(players))
    ]
    return _game(players, rows, weights(len(players)))


def ends(players: Sequence[Place]) -> Game:
    """The two checkpoints and what is one swap away from either; a player's effect is the mean of gain and loss.

    That is the Shapley value where players interact in pairs at most: i adds a_i + sum over j in S of a_ij to S, so the
    first and the last to enter average to what the mean over all orders is (Grabisch and Roubens 1999).
    """
    rows: list[Row] = [(), *((place,) for place in players)]
    rows += [tuple(other for other in players if other != place) for place in players]
    rows += [tuple(players)]
    made = _game(players, rows, np.zeros((len(players), len(rows))))
    for steps in (made.gains, made.losses):
        for player, (before, after) in enumerate(steps.values()):
            made.matrix[player, before] -= 0.5
            made.matrix[player, after] += 0.5
    return made


def with_rest(game: Game) -> Game:
    """A game of the modules under the model's input, and the second checkpoint as it ships as one row more: what the
    hybrid of all its modules does not explain is the input's.
    """
    n = len(game.rows)
    matrix = np.zeros((len(game.players) + 1, n + 1))
    matrix[1:, :n] = game.matrix
    matrix[0, n - 1 :] = -1, 1
    return replace(
        game,
        players=("input", *game.players),
        rows=[*game.rows, PLACES],
        matrix=matrix,
        losses={"input": (n - 1, n), **game.losses},
    )


def _game(players: Sequence[Place], rows: list[Row], matrix: Floats) -> Game:
    last = len(rows) - 1
    alone = {place: rows.index((place,)) for place in players}
    without = {place: rows.index(tuple(other for other in players if other != place)) for place in players}
    return Game(
        players=tuple(players),
        rows=rows,
        matrix=matrix,
        gains={place: (0, row) for place, row in alone.items()},
        losses={place: (row, last) for place, row in without.items()},
    )
