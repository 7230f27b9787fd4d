from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.causes.shapley import coalitions, weights

N = 4
SETS = coalitions(N)
games = st.lists(st.floats(-1, 1), min_size=2**N, max_size=2**N).map(np.array)


@given(games)
def test_they_are_the_mean_over_all_orders_of_entry(values):
    """Shapley's other formula: what a player adds on entering, averaged over the orders in which players enter."""
    entered = np.zeros(N)
    orders = list(permutations(range(N)))
    for order in orders:
        members = [False] * N
        for player in order:
            before = values[SETS.index(tuple(members))]
            members[player] = True
            entered[player] += values[SETS.index(tuple(members))] - before
    np.testing.assert_allclose(weights(N) @ values, entered / len(orders), atol=1e-12)


@given(games)
def test_they_sum_to_the_whole_difference(values):
    np.testing.assert_allclose((weights(N) @ values).sum(), values[-1] - values[0], atol=1e-12)


@given(games, st.permutations(range(N)))
def test_renamed_players_keep_their_values(values, names):
    renamed = np.array([values[SETS.index(tuple(members[names[i]] for i in range(N)))] for members in SETS])
    original = weights(N) @ values
    np.testing.assert_allclose(weights(N) @ renamed, [original[names.index(i)] for i in range(N)], atol=1e-12)


@given(games, st.integers(0, N - 1))
def test_who_changes_nothing_gets_nothing(values, idle):
    without = [SETS.index(tuple(member and i != idle for i, member in enumerate(members))) for members in SETS]
    np.testing.assert_allclose((weights(N) @ values[without])[idle], 0, atol=1e-12)
