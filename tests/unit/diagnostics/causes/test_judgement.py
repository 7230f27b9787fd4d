"""Which module is named, on answers made by hand: 120 images, two classes, a group an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from medprobe.diagnostics.causes.games import Game, ends, whole, with_rest
from medprobe.diagnostics.causes.judgement import Finding, Signals, guilty_layer, judge
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.records.cause import Prefix
from medprobe.diagnostics.records.chain import PLACES, STAGES, Place

N = 120
LABELS = np.arange(N) % 2
Rule = Callable[[set[str]], float]
MODULES = whole(STAGES)
"""The game where both checkpoints have one input."""
GAMES = {
    "all": whole(PLACES),
    "one swap": ends(PLACES),
    "the rest": with_rest(whole(STAGES)),
    "one swap and the rest": with_rest(ends(STAGES)),
}
"""The games in which the input is a place."""


def answers(accuracy: Rule, game: Game) -> Signals:
    """Signals where the hybrid with the places S of the second checkpoint answers a share `accuracy(S)` right."""
    rng = np.random.default_rng(0)
    rank = rng.permutation(N // 2).repeat(2)
    rows = [np.where(rank < round(accuracy(set(row)) * N / 2), LABELS, 1 - LABELS) for row in game.rows]
    return Signals.of(np.array(rows), LABELS, Resamples(LABELS, np.arange(N), 2, seed=0), 2)


def found(accuracy: Rule, game: Game = MODULES) -> Finding:
    return judge(answers(accuracy, game), game)


@pytest.mark.parametrize("stage", STAGES)
def test_the_module_that_alone_makes_the_difference_is_named(stage):
    finding = found(lambda swapped: 0.95 if stage in swapped else 0.5)
    assert finding.module == stage
    assert getattr(finding.effects, stage) == pytest.approx(finding.difference) == pytest.approx(0.9)
    assert finding.swaps[stage].gain == pytest.approx(0.9)
    assert finding.swaps[stage].loss == pytest.approx(0.9)
    low, high = finding.difference_ci
    assert low < finding.difference < high


def test_a_small_share_elsewhere_does_not_hide_it():
    finding = found(lambda swapped: 0.5 + 0.35 * ("llm" in swapped) + 0.05 * ("vision" in swapped))
    assert finding.module == "llm"
    assert finding.effects.vision == pytest.approx(0.1)


def test_equal_models_name_nothing():
    finding = found(lambda swapped: 0.9)
    assert finding.module is None
    assert finding.reason.startswith("no difference")
    assert finding.difference == 0


def test_a_worse_second_checkpoint_names_nothing():
    finding = found(lambda swapped: 0.5 if "connector" in swapped else 0.95)
    assert finding.module is None
    assert "answers worse than the model" in finding.reason


def test_a_difference_within_the_interval_names_nothing():
    finding = found(lambda swapped: 0.52 if "connector" in swapped else 0.5)
    assert finding.module is None
    assert finding.reason.startswith("no difference")


def test_modules_that_only_work_together_are_an_interaction():
    """A tower and a connector made for each other: one without the other answers worse than either model."""

    def rule(swapped: set[str]) -> float:
        pair = {"vision", "connector"} & swapped
        return {0: 0.7, 1: 0.2, 2: 0.95}[len(pair)]

    finding = found(rule)
    assert finding.module is None
    assert finding.reason.startswith("interaction: with vision of the second") or "with connector" in finding.reason


def test_equal_shares_name_neither():
    finding = found(lambda swapped: 0.5 + 0.2 * ("vision" in swapped) + 0.21 * ("llm" in swapped))
    assert finding.swaps["llm"].gain_ci[0] > 0
    assert finding.swaps["llm"].loss_ci[0] > 0
    assert finding.module is None
    assert finding.reason.startswith("shared between vision and llm")


def test_two_faulty_modules_share_the_difference():
    finding = found(lambda swapped: 0.95 if {"vision", "answer"} <= swapped else 0.5)
    assert finding.module is None
    assert finding.reason == "shared between vision and answer: these images cannot tell which has the larger effect"
    assert finding.effects.vision == pytest.approx(finding.effects.answer)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        # llm helps only where another module came along; more of them, more help.
        (lambda s: 0.5 + 0.15 * ("llm" in s) * len(s - {"llm"}), "gives back half of what the model lacks"),
        (
            lambda s: min(0.95, 0.5 + 0.45 * ("llm" in s) + 0.15 * len(s - {"llm"})),
            "costs the second checkpoint anything",
        ),
    ],
)
def test_single_swaps_must_agree(rule, says):
    finding = found(rule)
    assert finding.effects.llm == max(value for _, value in finding.effects)
    assert finding.module is None
    assert finding.reason == f"llm has the largest effect, but nothing shows that swapping it alone {says}"


def test_the_module_that_alone_lifts_most_must_be_the_one_of_the_largest_effect():
    """The connector helps in company, the tower alone helps more."""

    def rule(swapped: set[str]) -> float:
        if swapped == {"vision"}:
            return 0.75
        return 0.5 + 0.1 * ("connector" in swapped) * (1 + len(swapped & {"llm", "answer", "vision"}))

    finding = found(rule)
    assert finding.effects.connector == max(value for _, value in finding.effects)
    assert finding.swaps["connector"].gain_ci[0] > 0
    assert finding.module is None
    assert finding.reason == "connector has the largest effect, but swapped alone, vision lifts the model more"


def test_breaking_an_inverted_model_gives_nothing_back():
    """The model answers the wrong class; each module swapped alone breaks that, and brings no more than chance."""

    def rule(swapped: set[str]) -> float:
        return {0: 0.05, 4: 0.95}.get(len(swapped), 0.5 + 0.2 * ("vision" in swapped and len(swapped) > 1))

    finding = found(rule)
    assert finding.effects.vision == max(value for _, value in finding.effects)
    assert finding.swaps["vision"].gain_ci[0] > 0
    assert finding.module is None


def test_a_part_that_fits_by_luck_is_not_named():
    """Two checkpoints trained apart: no part fits the other, and one alone happens to read above chance."""

    def rule(swapped: set[str]) -> float:
        alone = {frozenset({"connector"}): 0.65, frozenset(): 0.25}
        return {4: 0.98}.get(len(swapped), alone.get(frozenset(swapped), 0.5 + 0.15 * ("connector" in swapped)))

    finding = found(rule)
    assert finding.effects.connector == max(value for _, value in finding.effects)
    assert finding.swaps["connector"].gain_ci[0] > 0.3
    assert finding.swaps["connector"].loss_ci[0] > 0.3
    assert finding.module is None
    assert "gives back half" in finding.reason or "interaction" in finding.reason


def curve(*signals: float) -> list[Prefix]:
    return [Prefix(layers=3 * i, signal=s, ci=(s, s)) for i, s in enumerate(signals)]


@pytest.mark.parametrize(
    ("signals", "layer"),
    [
        ((0.0, 0.0, 0.9, 0.9), 5),
        ((0.0, 0.8, 0.9, 0.9), 2),
        ((0.0, 0.1, 0.2, 0.9), 8),
        # What a longer prefix loses again is not given back yet.
        ((0.0, 0.8, 0.1, 0.9), 8),
        ((0.5, 0.6, 0.8, 0.9), 5),
    ],
)
def test_the_layer_ends_the_shortest_prefix_that_gives_back_half(signals, layer):
    assert guilty_layer(curve(*signals)) == layer


def test_a_module_of_one_layer_has_no_guilty_one():
    one = [Prefix(layers=0, signal=0.0, ci=(0, 0)), Prefix(layers=1, signal=0.9, ci=(0.9, 0.9))]
    assert guilty_layer(one) is None


def test_the_finding_holds_every_hybrid_and_its_intervals():
    finding = found(lambda swapped: 0.6 + 0.3 * ("llm" in swapped))
    assert [tuple(hybrid.swapped) for hybrid in finding.hybrids] == MODULES.rows
    for hybrid in finding.hybrids:
        assert hybrid.signal == pytest.approx(0.8 if "llm" in hybrid.swapped else 0.2)
        assert hybrid.ci[0] < hybrid.signal < hybrid.ci[1]
    low, high = finding.difference_ci
    assert 0.4 < low < finding.difference < high < 0.8
    assert list(finding.ci) == list(PLACES)
    assert finding.ci["llm"][0] < finding.effects.llm == pytest.approx(0.6)
    assert finding.ci["vision"] == pytest.approx((0, 0), abs=1e-12)
    assert (finding.swaps["llm"].gain, finding.swaps["llm"].loss) == pytest.approx((0.6, 0.6))
    assert (finding.swaps["vision"].gain, finding.swaps["vision"].loss) == pytest.approx((0, 0))
    assert finding.reason == ("its effect exceeds that of every other place, and single swaps in both directions agree")


def test_a_worse_second_checkpoint_is_said_in_words():
    reason = found(lambda swapped: 0.5 if "connector" in swapped else 0.95).reason
    assert reason == "no loss to explain: the second checkpoint answers worse than the model"


def test_three_that_share_are_all_named():
    finding = found(lambda swapped: 0.95 if {"vision", "connector", "answer"} <= swapped else 0.5)
    assert finding.reason == (
        "shared between vision, connector and answer: these images cannot tell which has the larger effect"
    )


@pytest.mark.parametrize(
    ("below", "named"), [({"vision", "connector"}, "vision and connector"), ({"answer"}, "answer"), ({"llm"}, "llm")]
)
def test_an_interaction_names_the_hybrid_that_falls_below_both(below, named):
    def rule(swapped: set[str]) -> float:
        if swapped == below:
            return 0.2
        return {0: 0.6, 4: 0.95}.get(len(swapped), 0.6 + 0.05 * ("vision" in swapped) * (len(swapped) == 3))

    finding = found(rule)
    assert finding.module is None
    assert finding.reason == (
        f"interaction: with {named} of the second checkpoint the answer falls below both checkpoints"
    )


def drawn(margin_of, share: float) -> Signals:
    """Signals of a clear case for the llm, in which the share `share` of the resamples has `margin_of` changed."""
    n = 20_000
    point = np.array([0.9 if "llm" in row else 0.1 for row in MODULES.rows])
    values = np.repeat(point[:, None], n, axis=1)
    changed = np.arange(n) < round(share * n)
    for row, value in margin_of.items():
        values[row, changed] = value
    return Signals(point, values)


def only(stage: Place) -> int:
    return MODULES.rows.index((stage,))


def but(stage: str) -> int:
    return MODULES.rows.index(tuple(one for one in STAGES if one != stage))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({only("llm"): 0.1}, "gives back half of what the model lacks"),
        ({but("llm"): 0.9}, "costs the second checkpoint anything"),
        ({only("vision"): 1.0}, None),
        # The tower's effect reaches that of the LLM where all that lacks it reads nothing.
        ({row: -0.9 for row, taken in enumerate(MODULES.rows) if taken and "vision" not in taken}, "shared between"),
    ],
)
def test_an_agreement_that_fails_in_more_than_a_fortieth_of_the_resamples_names_nothing(changed, says):
    """Bounds are those of 95 percent intervals, 0.025 on either side."""
    assert judge(drawn(changed, 0.0245), MODULES).module == "llm"
    found = judge(drawn(changed, 0.0255), MODULES)
    assert (found.module is None) is (says is not None)
    if says is not None:
        assert says in found.reason


def test_another_that_lifts_more_in_all_but_a_fortieth_of_the_resamples_is_said():
    assert judge(drawn({only("vision"): 1.0}, 0.974), MODULES).module == "llm"
    assert "swapped alone, vision lifts the model more" in judge(drawn({only("vision"): 1.0}, 0.976), MODULES).reason


def test_a_gain_of_nothing_is_none():
    """Where the model reads below chance, what it lacks is counted from chance."""
    signals = drawn({0: -0.1, **{only(stage): 0.0 for stage in STAGES}}, 1.0)
    assert "gives back half of what the model lacks" in judge(signals, MODULES).reason


def test_a_prefix_that_gives_back_just_half_holds_the_cause():
    assert guilty_layer(curve(0.0, 0.5, 1.0)) == 2
    two = [Prefix(layers=i, signal=s, ci=(s, s)) for i, s in enumerate((0.0, 0.9, 0.9))]
    assert guilty_layer(two) == 0


@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
@pytest.mark.parametrize("place", PLACES)
def test_the_place_that_makes_the_difference_is_named(place, game):
    finding = found(lambda swapped: 0.5 + 0.45 * (place in swapped), game)
    assert finding.module == place, finding.reason
    assert getattr(finding.effects, place) == pytest.approx(0.9)
    assert finding.difference == pytest.approx(0.9)
    for other in set(PLACES) - {place}:
        assert getattr(finding.effects, other) == pytest.approx(0)
        assert finding.ci[other] == pytest.approx((0, 0))


def test_what_was_swapped_in_one_direction_alone_is_not_certain():
    kept = GAMES["the rest"]
    finding = found(lambda swapped: 0.95 if "input" in swapped else 0.5, kept)
    assert (finding.module, finding.certain) == ("input", False)
    assert "the second checkpoint loses by it" in finding.reason
    assert set(finding.swaps) == set(STAGES)
    assert not found(lambda swapped: 0.95 if "llm" in swapped else 0.5, kept).certain
    assert found(lambda swapped: 0.95 if "input" in swapped else 0.5, GAMES["all"]).certain


def test_an_input_that_is_no_place_has_no_effect_at_all():
    finding = found(lambda swapped: 0.95 if "llm" in swapped else 0.5)
    assert finding.effects.input == 0
    assert finding.ci["input"] == (0, 0)
    assert (finding.swaps["input"].gain, finding.swaps["input"].loss) == (0, 0)


def test_no_difference_is_not_said_where_only_the_second_checkpoint_as_it_ships_is_better():
    """All of its modules under the model's input answer no better than the model."""
    for name in ("the rest", "one swap and the rest"):
        finding = found(lambda swapped: 0.95 if "input" in swapped else 0.5, GAMES[name])
        assert finding.module == "input"
        assert "no difference" not in finding.reason


def test_an_input_that_fits_only_its_own_modules_is_an_interaction():
    def rule(swapped: set[str]) -> float:
        return 0.95 if swapped == set(PLACES) else 0.1 if "input" in swapped else 0.6

    finding = found(rule, GAMES["all"])
    assert finding.module is None
    assert finding.reason.startswith("interaction: with input")
