"""Exact Shapley values of a game of few players: pure formulas."""

from __future__ import annotations

from itertools import product
from math import factorial

import numpy as np

from medprobe.diagnostics.arrays import Floats


def coalitions(n_players: int) -> list[tuple[bool, ...]]:
    """All sets of players in the order used here: no player first, the last player changes fastest."""
    return list(product((False, True), repeat=n_players))


def weights(n_players: int) -> Floats:
    """[n_players, 2**n_players]: the values of all coalitions times this are the Shapley values (Shapley 1953),

        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S)).

    They sum to v(all) - v(none).
    """
    found = np.zeros((n_players, 2**n_players))
    for column, members in enumerate(coalitions(n_players)):
        size = sum(members)
        for player, member in enumerate(members):
            others = size - member
            share = factorial(others) * factorial(n_players - others - 1) / factorial(n_players)
            found[player, column] = share if member else -share
    return found
