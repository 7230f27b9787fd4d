import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.probes.folds import TooFewGroups, assign


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(3, 12))
def test_groups_stay_together_and_every_fold_trains_on_every_class(seed: int, k: int, per_class: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, k * per_class)
    groups = np.repeat(np.arange(k * per_class), sizes)
    labels = groups % k
    order = rng.permutation(len(labels))
    labels, groups = labels[order], groups[order]
    folds = assign(labels, groups, 5, seed)
    assert set(folds) == set(range(min(5, per_class)))
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    for fold in np.unique(folds):
        assert set(labels[folds != fold]) == set(range(k))


def test_the_seed_decides() -> None:
    labels, groups = np.arange(60) % 2, np.arange(60)
    assert (assign(labels, groups, 5, 0) == assign(labels, groups, 5, 0)).all()
    assert (assign(labels, groups, 5, 0) != assign(labels, groups, 5, 1)).any()


def test_classes_are_spread_evenly() -> None:
    labels, groups = np.repeat([0, 1], [80, 20]), np.arange(100)
    folds = assign(labels, groups, 5, 0)
    assert [int((labels[folds == f] == 1).sum()) for f in range(5)] == [4] * 5


def test_a_class_of_two_patients_is_refused() -> None:
    with pytest.raises(TooFewGroups, match="a class comes from 2 patient groups"):
        assign(np.array([0] * 10 + [1] * 10), np.array([*range(10), *[10, 11] * 5]), 5, 0)
