"""The rule of naming: its error under nulls, what it must find, and that what screens does not test."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.counterfactuals import rule
from medprobe.diagnostics.judgement.resamples import Resamples

K = 3


def drawn(rng, n_groups, per_group, accuracy):
    """Labels and groups, and a function that draws answers that are right so often, alike within a group."""
    groups = np.repeat(np.arange(n_groups), per_group)
    labels = groups % K

    def answers(share):
        right = np.repeat(rng.random(n_groups), per_group) < share
        wrong = (labels + rng.integers(1, K, len(labels))) % K
        return np.where(right, labels, wrong)

    return labels, groups, answers


def named_of(labels, groups, own, others, short, seed):
    return rule.named(rule.assess(np.array(others), own, rule.Known(labels, groups, K, seed)), short)


@pytest.mark.parametrize(("n_groups", "per_group"), [(60, 2), (24, 5), (9, 12)])
@pytest.mark.parametrize("share", [1 / 3, 0.7])
def test_without_a_difference_nothing_is_named_more_than_the_level_allows(n_groups, per_group, share, monkeypatch):
    monkeypatch.setattr(rule, "DRAWS", 999)
    monkeypatch.setattr(rule, "Resamples", partial(Resamples, n_resamples=500))
    named = 0
    n_runs = 120
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        labels, groups, answers = drawn(rng, n_groups, per_group, share)
        # Two alternatives as good as the input as it is, and a loss so small that any gain would explain it.
        found = named_of(labels, groups, answers(share), [answers(share), answers(share)], 0.02, seed)
        named += found is not None
    # 2.5 percent are allowed; 9 of 120 is the 99.9 percent quantile of that.
    assert named <= 9


def test_a_restored_answer_is_named_and_the_better_of_two_is():
    rng = np.random.default_rng(0)
    labels, groups, answers = drawn(rng, 60, 2, 0)
    own = np.zeros_like(labels)
    others = [answers(0.75), answers(0.98), own]
    assert named_of(labels, groups, own, others, 0.9, 0) == 1
    tested = rule.assess(np.array(others), own, rule.Known(labels, groups, K, 0))
    assert [one.explains(0.9) for one in tested] == [True, True, False]
    assert [one.explains(2.0) for one in tested] == [False, False, False]
    assert tested[0].ci[0] < tested[0].gain < tested[0].ci[1]


def test_to_guess_again_is_no_recovery_of_an_answer_below_chance():
    rng = np.random.default_rng(1)
    labels, groups, answers = drawn(rng, 60, 2, 0)
    own = (labels + 1) % K
    (guessed,) = rule.assess(np.array([answers(1 / 3)]), own, rule.Known(labels, groups, K, 0))
    assert guessed.p < 0.001
    assert not guessed.clear
    assert abs(guessed.gain) < 0.2


def test_with_few_groups_no_number_of_images_is_enough():
    rng = np.random.default_rng(2)
    labels, groups, _ = drawn(rng, 5, 40, 0)
    assert named_of(labels, groups, np.full_like(labels, 3), [labels.copy()], 0.9, 0) is None


@settings(max_examples=30)
@given(
    st.lists(st.integers(1, 6), min_size=9, max_size=90),
    st.integers(0, 5),
)
def test_groups_that_screen_do_not_test(sizes, seed):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = groups % K
    cut = rule.split(labels, groups, seed)
    screen = np.concatenate([cut.first, cut.second])
    assert not set(groups[screen]) & set(groups[cut.test])
    assert len(set(screen)) == len(screen) <= rule.SCREENED + K
    for rows in (cut.first, cut.test):
        assert set(labels[rows]) == set(range(K))
    in_test = np.isin(groups, groups[cut.test])
    assert in_test.sum() == len(cut.test)
    # A round takes a group of each class.
    assert len(cut.test) < rule.TESTED + K * max(sizes)


def test_a_class_of_two_groups_cannot_be_screened_and_tested():
    groups = np.repeat(np.arange(20), 4)
    labels = (groups < 2).astype(np.int64)
    with pytest.raises(rule.TooFew, match="fewer than 3 groups"):
        rule.split(labels, groups, 0)


def test_promise_is_of_the_right_answer_among_the_options_or_of_its_writing():
    scores = np.log(np.array([[0.02, 0.02], [0.3, 0.1]]))
    labels = np.array([0, 1])
    assert rule.promise(scores, labels, normalise=True) == pytest.approx((0.5 + 0.25) / 2)
    assert rule.promise(scores, labels, normalise=False) == pytest.approx((0.02 + 0.1) / 2)
    assert rule.best([0.2, np.nan, 0.9, 0.5], 0.2, 2) == [2, 3]


def test_what_gives_back_too_little_is_given_up_and_what_may_be_enough_is_not():
    labels = np.arange(36) % K
    own = np.zeros_like(labels)
    better = np.where(np.arange(36) < 24, labels, own)
    assert rule.may_explain(better, own, labels, 0.9, K)
    assert not rule.may_explain(own, own, labels, 0.9, K)
    assert not rule.may_explain(np.where(np.arange(36) < 3, labels, own), own, labels, 0.9, K)
    # From below chance to chance is nothing.
    assert not rule.may_explain(own, (labels + 1) % K, labels, 0.9, K)
    assert rule.may_be_as_good(better, better, labels, K)
    assert not rule.may_be_as_good(own, better, labels, K)


def test_gains_add_up_to_the_difference_of_signal():
    from medprobe.diagnostics.scores import balanced_accuracy, signal

    rng = np.random.default_rng(3)
    labels = rng.integers(0, K, 50)
    one, other = rng.integers(-1, K, (2, 50))
    difference = signal(balanced_accuracy(labels, one, K), K) - signal(balanced_accuracy(labels, other, K), K)
    assert rule._gains(one, other, labels, K).sum() == pytest.approx(difference)


def test_two_unrelated_changes_that_help_alike_leave_the_cause_open():
    labels, groups = np.repeat(np.arange(30) % 3, 2), np.repeat(np.arange(30), 2)
    own = np.full_like(labels, 3)
    nearly = np.where(groups == 4, 3, labels)
    half = np.where(groups % 2 == 0, labels, 3)
    answers = np.stack([labels, nearly, half])
    tested = rule.assess(answers, own, rule.Known(labels, groups, 3, 0))
    known = rule.Known(labels, groups, 3, 0)
    assert rule.named(tested, 1.0) == 0

    def found(*changes: set[str]) -> list[int]:
        return rule.rivals(0, tested, answers, changes, 1.0, known)

    assert found({"mean"}, {"rotary"}, {"layer"}) == [1]  # the third answers clearly worse
    assert found({"mean", "deviation"}, {"deviation"}, {"layer"}) == []


def test_of_two_that_help_alike_the_one_that_puts_back_what_the_checkpoint_says_is_named():
    assert rule.restoring([0, 2], [False, True, True]) == 2
    assert rule.restoring([0, 2], [False, True, False]) is None
    assert rule.restoring([0, 2], [True, False, True]) is None
    assert rule.restoring([], [True]) is None
