from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.scores import auroc, balanced_accuracy, confusion, feature_health_score, signal, signal_of

CURVE = st.lists(st.floats(0.05, 1.0), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("curve", "score"),
    [([0.5, 0.9], 1.31), ([0.9, 0.3, 0.9], 1.07), ([0.9, 0.9, 0.9], 0.90), ([0.7], 0.7)],
)
def test_health_by_hand(curve: list[float], score: float) -> None:
    assert feature_health_score(curve, 1000) == pytest.approx(score, abs=0.005)


@given(CURVE, st.floats(0.1, 1.0))
def test_health_is_homogeneous(curve: list[float], scale: float) -> None:
    scaled = feature_health_score([scale * p for p in curve], 10**6)
    assert scaled == pytest.approx(scale * feature_health_score(curve, 10**6), rel=1e-9)


@given(st.floats(0.01, 1.0), st.integers(1, 40))
def test_a_flat_curve_scores_its_height(height: float, length: int) -> None:
    assert feature_health_score([height] * length, 1000) == pytest.approx(height)


@given(st.floats(0.3, 1.0), st.floats(0.05, 0.25))
def test_turning_up_and_down_costs(height: float, dip: float) -> None:
    smooth = [dip, height, height, height]
    shaken = [dip, height, (dip + height) / 2, height]
    assert feature_health_score(shaken, 10**6) < feature_health_score(smooth, 10**6)


def test_an_accuracy_of_zero_is_clipped_at_one_image() -> None:
    assert feature_health_score([0.0, 0.5], 50) == pytest.approx(feature_health_score([0.02, 0.5], 50))


def test_an_empty_curve_has_no_health() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        feature_health_score([], 10)


@given(st.integers(2, 9))
def test_signal_of_chance_and_of_perfection(n_classes: int) -> None:
    labels = np.repeat(np.arange(n_classes), 4)
    constant = np.zeros_like(labels)
    assert signal(balanced_accuracy(labels, constant, n_classes), n_classes) == pytest.approx(0)
    assert signal(balanced_accuracy(labels, labels, n_classes), n_classes) == pytest.approx(1)


LABELS = st.integers(2, 4).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(-1, k - 1)), min_size=1, max_size=30),
        st.permutations(range(k)),
    )
)


@given(LABELS)
def test_renaming_classes_changes_no_signal(case: tuple[int, list[tuple[int, int]], list[int]]) -> None:
    k, pairs, order = case
    rows = np.array([*pairs, *((i, i) for i in range(k))])
    renamed = np.append(order, -1)[rows]
    accuracy = balanced_accuracy(rows[:, 0], rows[:, 1], k)
    assert balanced_accuracy(renamed[:, 0], renamed[:, 1], k) == pytest.approx(accuracy)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.integers(2, 5))
def test_losses_telescope(accuracies: list[float], n_classes: int) -> None:
    signals = [signal(a, n_classes) for a in accuracies]
    assert sum(a - b for a, b in pairwise(signals)) == pytest.approx(signals[0] - signals[-1], abs=1e-12)


def test_balanced_accuracy_weighs_classes_not_images() -> None:
    labels = np.array([0] * 98 + [1] * 2)
    assert balanced_accuracy(labels, np.zeros(100, dtype=int), 2) == 0.5
    assert balanced_accuracy(labels, np.where(labels == 1, -1, 0), 2) == 0.5
    with pytest.raises(ValueError, match="every class"):
        balanced_accuracy(labels, labels, 3)


@given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
def test_auroc_is_sklearns(seed: int, n_classes: int, ties: bool) -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, 20)])
    scores = rng.normal(size=(len(labels), n_classes))
    if ties:
        scores = scores.round()
    expected = np.mean([roc_auc_score(labels == k, scores[:, k]) for k in range(n_classes)])
    assert auroc(labels, scores) == pytest.approx(expected)


def test_auroc_without_a_class_is_null() -> None:
    assert auroc(np.zeros(4, dtype=int), np.zeros((4, 2))) is None


def test_confusion_counts_unreadable_answers_apart() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    assert confusion(labels, np.array([0, 1, 1, 1, 0]), 2) == [[1, 1], [1, 2]]
    assert confusion(labels, np.array([0, -1, 1, -1, -1]), 2) == [[1, 0, 1], [0, 1, 2]]


def test_an_accuracy_of_nothing_is_clipped_to_one_image() -> None:
    """P = (0, 1) of 4 images: end 1, start and least 1/4, so GF = ln 4 and the way is 3/4."""
    expected = (1 + np.log(4)) * np.exp(-0.2 * 0.75)
    assert feature_health_score([0, 1], 4) == pytest.approx(expected)


def test_what_has_no_score_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^a Feature Health Score needs at least one layer$"):
        feature_health_score([], 10)
    with pytest.raises(ValueError, match=r"^balanced accuracy needs an image of every class$"):
        balanced_accuracy(np.array([0, 0]), np.array([0, 0]), 2)


def test_a_class_that_is_never_read_keeps_its_column() -> None:
    assert confusion(np.array([0, 0, 0]), np.array([0, 0, 1]), 3) == [[2, 1, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("predictions", "found"),
    [([0, 0, 0, 1], 1.0), ([0, 0, 0, 0], 0.0), ([1, 1, 1, 0], -1.0), ([0, 0, -1, 1], 2 / 3)],
)
def test_the_signal_of_predictions_by_hand(predictions: list[int], found: float) -> None:
    """Recalls of 3 and 1 images; -1 names no class."""
    labels = np.array([0, 0, 0, 1])
    assert signal_of(labels, np.array(predictions), 2) == pytest.approx(found)
