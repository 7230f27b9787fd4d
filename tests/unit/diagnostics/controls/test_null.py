"""The permutation null: which labels it tries, and that it keeps its level where images of a patient are alike."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medprobe.diagnostics.controls.null import p_value, summarise
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.loci import exit_loci
from medprobe.diagnostics.probes.permutations import permuted_labels, scores_of
from medprobe.diagnostics.probes.ridge import read_label_sets
from medprobe.diagnostics.scores import balanced_accuracy, signal

Ints = NDArray[np.int64]


def patients(sizes: list[int], k: int = 2) -> tuple[Ints, Ints, Ints]:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = groups % k
    return labels, groups, folds.assign(labels, groups, 5, 0)


@given(st.lists(st.integers(1, 5), min_size=8, max_size=20), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_groups_of_one_label_trade_labels(sizes: list[int], seed: int) -> None:
    labels, groups, fold = patients(sizes)
    for drawn in permuted_labels(labels, groups, fold, 5, seed):
        of_group = [set(drawn[groups == g].tolist()) for g in range(len(sizes))]
        assert all(len(values) == 1 for values in of_group)
        counts = np.bincount([values.pop() for values in of_group])
        assert counts.tolist() == np.bincount(np.arange(len(sizes)) % 2).tolist()
        assert all(len(np.unique(drawn[fold != f])) == 2 for f in range(fold.max() + 1))


def test_every_group_may_get_every_label() -> None:
    labels, groups, fold = patients([1, 2, 3, 4, 5, 6, 7, 8])
    drawn = permuted_labels(labels, groups, fold, 60, 0)
    assert [len(np.unique(drawn[:, groups == g])) for g in range(8)] == [2] * 8
    assert len(np.unique(drawn, axis=0)) > 30


def test_a_group_of_several_labels_keeps_them() -> None:
    labels, groups, fold = patients([4] * 12)
    labels[:4] = [0, 0, 1, 1]
    drawn = permuted_labels(labels, groups, fold, 30, 0)
    assert (drawn[:, :4].sum(axis=1) == 2).all()
    assert len(np.unique(drawn[:, :4], axis=0)) > 3
    assert all(len(set(row[groups == g])) == 1 for row in drawn for g in range(1, 12))


def test_the_same_permutations_are_drawn_again() -> None:
    labels, groups, fold = patients([2] * 20)
    first, again = (permuted_labels(labels, groups, fold, 10, 3) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != permuted_labels(labels, groups, fold, 10, 4)).any()


def test_scores_are_those_of_each_row() -> None:
    rng = np.random.default_rng(0)
    sets, read = rng.integers(0, 3, (4, 50)), rng.integers(0, 3, (4, 50))
    signals, accuracies = scores_of(sets, read, 3)
    for row in range(4):
        assert signals[row] == pytest.approx(signal(balanced_accuracy(sets[row], read[row], 3), 3))
        assert accuracies[row] == pytest.approx(np.mean(sets[row] == read[row]))


def test_the_largest_over_loci_counts() -> None:
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.1, 0.25])
    null = summarise({"reference": (a, a), "llm.3.last": (b, b)}, 0.3)
    assert null.p == (1 + 2) / 4
    assert null.loci == ["reference", "llm.3.last"]
    assert null.band == pytest.approx(np.quantile([0.3, 0.2, 0.3], 0.95))
    assert null.accuracy == pytest.approx((np.quantile([0.1, 0.1, 0.25], 0.05), np.quantile([0.3, 0.2, 0.3], 0.95)))
    assert p_value(a, 0.31) == 1 / 4
    assert p_value(a - 1e-15, 0.3) == 2 / 4  # equal but for rounding


def test_the_loci_of_the_exits() -> None:
    names = [f"{s}.{n}.{r}" for s, n, r in [("vision", 0, "mean"), ("vision", 1, "mean"), ("vision", 1, "grid")]]
    names += ["connector.0.mean", "llm.9.last", "llm.10.last", "llm.10.mean"]
    assert exit_loci(names) == ["vision.1.mean", "vision.1.grid", "connector.0.mean", "llm.10.last"]


@pytest.mark.slow
def test_noise_that_patients_share_is_called_readable_as_often_as_stated() -> None:
    """At the stated 5 percent when labels go by group, several times as often when they go by image."""
    called = {"group": 0, "image": 0}
    for seed in range(30):
        labels, groups, fold = patients([8] * 24)
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=(24, 6))[groups] + 0.1 * rng.normal(size=(len(groups), 6))).astype(np.float32)
        for unit, of_unit in (("group", groups), ("image", np.arange(len(groups)))):
            sets = np.vstack([labels, permuted_labels(labels, of_unit, fold, 19, seed)])
            read = read_label_sets(x, sets, groups, fold, 2)
            signals, _ = scores_of(sets, read.argmax(axis=2), 2)
            called[unit] += p_value(signals[1:], signals[0]) <= 0.05
    assert called["group"] <= 4
    assert called["image"] >= called["group"] + 3
