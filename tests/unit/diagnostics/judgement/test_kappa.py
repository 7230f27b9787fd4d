"""F1 and kappas of resampled tables against scikit-learn and against patients drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.judgement import kappa
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.scores import confusion


def table(labels, said, k):
    """With a last column for no class, whether or not one is named always."""
    counts = np.zeros((k, k + 1))
    found = np.array(confusion(labels, said, k))
    counts[:, : found.shape[1]] = found
    return counts


@settings(max_examples=40, deadline=None)
@given(k=st.integers(2, 5), each=st.integers(2, 12), seed=st.integers(0, 1000), unnamed=st.booleans())
def test_the_values_are_those_of_scikit_learn(k, each, seed, unnamed):
    from sklearn.metrics import cohen_kappa_score, f1_score

    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(k), each)
    said = rng.integers(-1 if unnamed else 0, k, len(labels))
    counts = table(labels, said, k)
    assert kappa.f1(counts) == pytest.approx(f1_score(labels, said, labels=np.arange(k), average=None))
    assert kappa.kappa(counts) == pytest.approx(cohen_kappa_score(labels, said))
    placed = kappa.farthest(labels, said, k)
    expected = cohen_kappa_score(labels, placed, weights="quadratic")
    assert kappa.kappa(table(labels, placed, k), "quadratic") == pytest.approx(expected)


def test_an_answer_without_a_class_lies_farthest_from_the_truth():
    assert kappa.farthest(np.arange(4), np.full(4, -1), 4).tolist() == [3, 3, 0, 0]
    assert kappa.farthest(np.arange(3), np.array([0, -1, 1]), 3).tolist() == [0, 0, 1]


def test_resampled_tables_keep_their_rows_and_vary_as_patients_drawn_again_do():
    from sklearn.metrics import cohen_kappa_score, f1_score

    rng = np.random.default_rng(0)
    labels, groups = np.repeat([0, 1, 2], [100, 60, 40]).repeat(3), np.arange(200).repeat(3)
    wrong = (rng.random(200) < 0.3)[groups]
    said = np.where(wrong, (labels + rng.integers(1, 3, 200)[groups]) % 3, labels)
    said[::50] = -1
    tables = kappa.tables(labels, said, 3, Resamples(labels, groups, 3, 0), "answer")
    assert tables.sum(axis=2) == pytest.approx(np.tile([300, 180, 120], (5000, 1)))
    assert tables.mean(axis=0) == pytest.approx(table(labels, said, 3), abs=4)
    again = []
    for _ in range(300):
        patients = np.concatenate(
            [rng.integers(*ends, ends[1] - ends[0]) for ends in ((0, 100), (100, 160), (160, 200))]
        )
        rows = (patients[:, None] * 3 + np.arange(3)).ravel()
        f1s = f1_score(labels[rows], said[rows], labels=[0, 1, 2], average="macro")
        again.append((cohen_kappa_score(labels[rows], said[rows]), f1s))
    drawn = np.stack([kappa.kappa(tables), kappa.f1(tables).mean(axis=1)], axis=1)
    assert drawn.std(axis=0) == pytest.approx(np.std(again, axis=0), rel=0.15)
