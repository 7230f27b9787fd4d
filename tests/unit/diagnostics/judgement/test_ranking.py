"""AUROC and average precision against scikit-learn, their intervals against DeLong and against resampled patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.judgement.ranking import NoPairs, auroc, average_precision, log_odds, one_against_rest, roc
from medprobe.diagnostics.judgement.resamples import Resamples, interval


def delong(is_class, scores):
    """Area and its standard error for independent images, each pair compared by itself (DeLong, DeLong and
    Clarke-Pearson 1988)."""
    x, y = scores[is_class], scores[~is_class]
    better = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    v10, v01 = better.mean(axis=1), better.mean(axis=0)
    return better.mean(), np.sqrt(v10.var(ddof=1) / len(x) + v01.var(ddof=1) / len(y))


def delong_paired(is_class, before, after):
    """The change of the area and its standard error."""

    def parts(scores):
        x, y = scores[is_class], scores[~is_class]
        better = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        return better.mean(), better.mean(axis=1), better.mean(axis=0)

    (a, a10, a01), (b, b10, b01) = parts(before), parts(after)
    return b - a, np.sqrt((b10 - a10).var(ddof=1) / len(a10) + (b01 - a01).var(ddof=1) / len(a01))


def one_fold(scores):
    return np.zeros(len(scores), dtype=np.int64)


drawn = st.tuples(st.integers(2, 30), st.integers(2, 30), st.integers(1, 8), st.integers(0, 10_000))
"""Images of the class, of the others, distinct scores a unit (few make ties), seed."""


def scored(n_class, n_others, steps, seed):
    rng = np.random.default_rng(seed)
    is_class = np.repeat([True, False], [n_class, n_others])
    return is_class, np.round((rng.normal(size=len(is_class)) + is_class) * steps) / steps


@settings(max_examples=60, deadline=None)
@given(of=drawn)
def test_the_areas_are_those_of_scikit_learn(of):
    from sklearn.metrics import average_precision_score, roc_auc_score

    is_class, scores = scored(*of)
    area, precision = auroc(is_class, scores, one_fold(scores)), average_precision(is_class, scores)
    assert area.value == pytest.approx(roc_auc_score(is_class, scores))
    assert precision.value == pytest.approx(average_precision_score(is_class, scores))
    for found in (area, precision):
        assert found.values[is_class].mean() == pytest.approx(found.value)
        assert found.values[~is_class].mean() == pytest.approx(found.value)


@settings(max_examples=15, deadline=None)
@given(of=drawn)
def test_an_image_counts_what_more_weight_of_it_moves(of):
    """The derivative, by scikit-learn with one image a little heavier and its class as heavy as before."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    is_class, scores = scored(*of)
    area, precision = auroc(is_class, scores, one_fold(scores)), average_precision(is_class, scores)
    for reference, found in ((roc_auc_score, area), (average_precision_score, precision)):
        for row in (0, len(scores) - 1):
            side, weight = is_class == is_class[row], np.ones(len(scores))
            weight[row] += 1e-6 * side.sum()
            weight[side] /= weight[side].mean()
            moved = (reference(is_class, scores, sample_weight=weight) - found.value) / 1e-6
            assert moved == pytest.approx(found.values[row] - found.value, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(of=drawn)
def test_monotone_scores_rank_alike_and_turned_round_the_area_is_one_less(of):
    is_class, scores = scored(*of)
    value = auroc(is_class, scores, one_fold(scores)).value
    assert auroc(is_class, np.arctan(scores), one_fold(scores)).value == pytest.approx(value)
    assert auroc(is_class, -scores, one_fold(scores)).value == pytest.approx(1 - value)
    assert auroc(~is_class, scores, one_fold(scores)).value == pytest.approx(1 - value)


def test_only_images_of_one_fold_are_compared():
    """Each fold ranks rightly on a scale of its own; ranked together they would be mixed up."""
    is_class, scores = np.array([True, False] * 2), np.array([1.0, 0.0, 11.0, 10.0])
    assert auroc(is_class, scores, np.array([0, 0, 1, 1])).value == 1
    assert auroc(is_class, scores, one_fold(scores)).value == 0.75


def test_a_fold_without_a_pair_counts_nothing_and_none_at_all_is_said():
    is_class, scores = np.array([True, False, True]), np.array([1.0, 0.0, -5.0])
    found = auroc(is_class, scores, np.array([0, 0, 1]))
    assert found.value == 1
    with pytest.raises(NoPairs, match="no fold holds images of the class and others"):
        auroc(is_class, scores, np.array([0, 1, 2]))
    with pytest.raises(NoPairs):
        average_precision(np.array([True, True]), np.array([0.0, 1.0]))


@pytest.mark.parametrize(("n", "share", "distance"), [(1000, 0.3, 1.2), (2000, 0.5, 0.4), (1500, 0.4, 2.0)])
def test_the_interval_is_that_of_delong(n, share, distance):
    """Of independent images. 5,000 resamples know a bound to 2 percent of the standard error at best; two added groups
    and Student's t add as much again where nearly all is ranked rightly."""
    rng = np.random.default_rng(n)
    labels = (np.arange(n) < share * n).astype(np.int64)
    scores = rng.normal(size=n) + distance * labels
    value, error = delong(labels == 1, scores)
    area = auroc(labels == 1, scores, one_fold(scores))
    resampled = area.resampled(labels, 1, Resamples(labels, np.arange(n), 2, 0), "answer")
    assert area.value == pytest.approx(value)
    assert resampled.std() == pytest.approx(error, rel=0.04)
    assert interval(resampled) == pytest.approx((value - 1.96 * error, value + 1.96 * error), abs=0.15 * error)


def test_the_interval_of_a_change_is_that_of_delong():
    rng = np.random.default_rng(3)
    labels = (np.arange(1500) % 3 == 0).astype(np.int64)
    common = rng.normal(size=1500) + labels
    before, after = (common + scale * rng.normal(size=1500) for scale in (0.3, 0.8))
    change, error = delong_paired(labels == 1, before, after)
    was, is_ = (auroc(labels == 1, scores, one_fold(scores)) for scores in (before, after))
    gains = Resamples(labels, np.arange(1500), 2, 0).gains(is_.values - was.values)
    resampled = one_against_rest(gains, labels, 1) - (is_.value - was.value)
    assert is_.value - was.value == pytest.approx(change)
    assert resampled.std() == pytest.approx(error, rel=0.05)


@pytest.mark.parametrize("area", [auroc, average_precision])
def test_the_interval_is_that_of_patients_drawn_again(area):
    """Against scikit-learn on patients drawn with replacement, whose images are alike."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(5)
    labels, groups = (np.arange(300) < 100).astype(np.int64).repeat(4), np.arange(300).repeat(4)
    scores = rng.normal(size=300)[groups] + 0.5 * rng.normal(size=1200) + 1.3 * labels
    reference = roc_auc_score if area is auroc else average_precision_score
    again = []
    for _ in range(300):
        patients = np.concatenate([rng.integers(0, 100, 100), rng.integers(100, 300, 200)])
        rows = (patients[:, None] * 4 + np.arange(4)).ravel()
        again.append(reference(labels[rows], scores[rows]))
    found = auroc(labels == 1, scores, one_fold(scores)) if area is auroc else average_precision(labels == 1, scores)
    resampled = found.resampled(labels, 1, Resamples(labels, groups, 2, 0), "answer")
    # 300 draws know a standard error to 4 percent.
    assert resampled.std() == pytest.approx(np.std(again), rel=0.13)


@pytest.mark.parametrize(("n_groups", "each", "true"), [(40, 3, 0.8), (40, 1, 0.9), (120, 4, 0.97)])
def test_the_intervals_cover_what_is_true_of_patients_with_several_images(n_groups, each, true):
    from scipy.stats import norm

    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.arange(n_groups).repeat(each)
        labels = (np.arange(n_groups) % 2).repeat(each)
        noise = np.sqrt(0.8) * rng.normal(size=n_groups)[groups] + np.sqrt(0.2) * rng.normal(size=len(groups))
        scores = noise + np.sqrt(2) * norm.ppf(true) * labels
        resamples = Resamples(labels, groups, 2, seed, 1000)
        low, high = interval(auroc(labels == 1, scores, one_fold(scores)).resampled(labels, 1, resamples, "answer"))
        inside += low <= true <= high
    # 190 expected; fewer than 183 has a chance of 2 percent.
    assert inside >= 183


def test_images_that_are_all_ranked_rightly_leave_room_for_patients_not_seen():
    labels = np.repeat([0, 1], 20)
    area = auroc(labels == 1, labels.astype(np.float64), one_fold(labels))
    low, high = interval(area.resampled(labels, 1, Resamples(labels, np.arange(40), 2, 0), "answer"))
    assert (area.value, high) == (1, 1)
    assert 0.8 < low < 0.95


def test_scores_that_tell_nothing_have_an_interval_around_chance():
    labels = np.repeat([0, 1], 20)
    area = auroc(labels == 1, np.zeros(40), one_fold(labels))
    low, high = interval(area.resampled(labels, 1, Resamples(labels, np.arange(40), 2, 0), "answer"))
    assert area.value == 0.5
    assert 0.5 - low == pytest.approx(high - 0.5, abs=0.01)
    assert high - low > 0.05


def test_the_score_of_a_class_is_its_log_odds():
    p = np.array([[0.2, 0.5, 0.3]])
    assert log_odds(np.log(p) - 7) == pytest.approx(np.log(p / (1 - p)))
    sure = log_odds(np.array([[0.0, -80.0], [0.0, -90.0]]))
    assert sure[1, 0] > sure[0, 0], "probabilities of both are 1 in float64"


def test_the_curve_rises_at_once_where_all_is_ranked_rightly_and_is_straight_over_ties():
    labels = np.repeat([0, 1], 50)
    assert (roc(labels == 1, labels.astype(np.float64)) == 1).all()
    assert roc(labels == 1, np.zeros(100)) == pytest.approx(np.linspace(0, 1, 101))
