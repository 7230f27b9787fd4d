"""The games: efficiency, idle players, symmetry, and when one swap from either end is enough."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.causes.games import Game, ends, whole, with_rest
from medprobe.diagnostics.causes.shapley import weights
from medprobe.diagnostics.records.chain import PLACES, STAGES

GAMES = [whole(PLACES), whole(STAGES), ends(PLACES), ends(STAGES), with_rest(whole(STAGES)), with_rest(ends(STAGES))]
SIZES = {len(game.rows) for game in GAMES}
floats = st.floats(-1, 1)
pairs = list(combinations(range(len(PLACES)), 2))


def values(game: Game, alone: list[float], together: list[float]) -> np.ndarray:
    """The game in which places add what they add alone and in pairs."""

    def value(row: tuple[str, ...]) -> float:
        taken = [i for i, place in enumerate(PLACES) if place in row]
        return sum(alone[i] for i in taken) + sum(
            worth for pair, worth in zip(pairs, together, strict=True) if set(pair) <= set(taken)
        )

    return np.array([value(row) for row in game.rows])


@pytest.mark.parametrize(("game", "n_rows"), list(zip(GAMES, (32, 16, 12, 10, 17, 11), strict=True)))
def test_a_game_goes_from_the_model_to_the_second_checkpoint(game, n_rows):
    assert len(set(game.rows)) == len(game.rows) == n_rows
    assert game.rows[0] == ()
    assert game.rows[-1] == game.players
    assert game.matrix.shape == (len(game.players), n_rows)
    assert game.both_ways is ("input" in game.gains or "input" not in game.players)
    for place, (before, after) in game.gains.items():
        assert (game.rows[before], game.rows[after]) == ((), (place,))
    for place, (before, after) in game.losses.items():
        assert set(game.rows[after]) - set(game.rows[before]) == {place}


@given(st.lists(floats, min_size=32, max_size=32).map(np.array))
def test_effects_sum_to_the_difference(drawn):
    for game in (whole(PLACES), whole(STAGES), with_rest(whole(STAGES))):
        own = drawn[: len(game.rows)]
        np.testing.assert_allclose((game.matrix @ own).sum(), own[-1] - own[0], atol=1e-12)


@given(st.lists(floats, min_size=5, max_size=5), st.lists(floats, min_size=10, max_size=10))
def test_where_places_interact_in_pairs_one_swap_from_either_end_is_enough(alone, together):
    exact = whole(PLACES)
    expected = exact.matrix @ values(exact, alone, together)
    game = ends(PLACES)
    np.testing.assert_allclose(game.matrix @ values(game, alone, together), expected, atol=1e-12)
    # What each adds alone, and half of what it adds with each other.
    shares = [
        own + sum(worth / 2 for pair, worth in zip(pairs, together, strict=True) if i in pair)
        for i, own in enumerate(alone)
    ]
    np.testing.assert_allclose(expected, shares, atol=1e-12)


@given(st.lists(floats, min_size=16, max_size=16).map(np.array))
def test_an_idle_input_leaves_the_modules_what_they_have_without_it(drawn):
    both = np.concatenate([drawn, drawn])  # whole(PLACES): without the input, then with it
    effects = whole(PLACES).matrix @ both
    np.testing.assert_allclose(effects[0], 0, atol=1e-12)
    np.testing.assert_allclose(effects[1:], weights(4) @ drawn, atol=1e-12)


@given(st.lists(floats, min_size=32, max_size=32).map(np.array), st.permutations(range(5)))
def test_places_that_change_names_change_effects(drawn, order):
    for game in (whole(PLACES), ends(PLACES)):
        own = dict(zip(map(frozenset, game.rows), drawn, strict=False))
        renamed = {PLACES[i]: PLACES[order[i]] for i in range(5)}
        other = np.array([own[frozenset(renamed[place] for place in row)] for row in game.rows])
        before, after = game.matrix @ drawn[: len(game.rows)], game.matrix @ other
        np.testing.assert_allclose(after, before[list(order)], atol=1e-12)


@given(st.lists(floats, min_size=17, max_size=17).map(np.array))
def test_the_rest_is_what_the_hybrid_of_all_modules_does_not_explain(drawn):
    effects = with_rest(whole(STAGES)).matrix @ drawn
    assert effects[0] == pytest.approx(drawn[16] - drawn[15])
    np.testing.assert_allclose(effects[1:], weights(4) @ drawn[:16], atol=1e-12)
