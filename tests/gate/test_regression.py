"""The comparison itself, on simulated predictions of patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnostics.baseline import BaselineError
from diagnostics.records import CHAIN, Predictions
from diagnostics.regression import compare, contributions, sign_flip

MINIMUM = 0.02


def predictions(truth, patient, places, **changed):
    values = {
        "model": "m",
        "dataset": "d",
        "data_fingerprint": "f",
        "prompt": "p",
        "probe": "ridge",
        "classes": ["a", "b", "c"],
        "images": [f"{i:05d}" for i in range(len(truth))],
        "labels": list(map(int, truth)),
        "groups": list(map(int, patient)),
        "places": {place: list(map(int, places)) for place in CHAIN},
    }
    return Predictions(**values | changed)


def patients(n, images_each):
    """Labels and groups; a patient has one class."""
    return np.repeat(np.arange(n) % 3, images_each), np.repeat(np.arange(n), images_each)


def read(labels, groups, accuracy, rng, shared=0.5):
    """Predictions whose errors a patient's images share in part."""
    patient = rng.random(groups.max() + 1)[groups]
    draw = np.where(rng.random(len(labels)) < shared, patient, rng.random(len(labels)))
    return np.where(draw < accuracy, labels, (labels + 1) % 3)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(6, 40), each=st.integers(1, 4), accuracy=st.floats(0, 1), seed=st.integers(0, 1000))
def test_identical_predictions_never_regress(n, each, accuracy, seed):
    labels, groups = patients(n, each)
    one = predictions(labels, groups, read(labels, groups, accuracy, np.random.default_rng(seed)))
    for found in compare(one, one, MINIMUM).values():
        assert (found.verdict, found.change, found.ci, found.p) == ("not_regressed", 0, (0, 0), 1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_order_of_images_and_names_of_groups_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels, groups = patients(30, 3)
    was, now = (read(labels, groups, a, rng) for a in (0.9, 0.7))
    order = rng.permutation(len(labels))
    before = predictions(labels, groups, was)
    moved = before.model_copy(
        update={
            "images": [before.images[i] for i in order],
            "labels": [before.labels[i] for i in order],
            "places": {place: [values[i] for i in order] for place, values in before.places.items()},
        }
    )
    after = predictions(labels, groups, now)
    assert compare(moved, after, MINIMUM) == compare(before, after, MINIMUM)


def test_a_loss_of_five_points_is_found_with_enough_images():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels, groups = patients(1500, 2)
        was = read(labels, groups, 0.9, rng)
        # 5 points of signal are 3.3 of balanced accuracy with three classes.
        lost = (rng.random(len(labels)) < 0.0333 / 0.9) & (was == labels)
        now = np.where(lost, (labels + 2) % 3, was)
        found.append(compare(predictions(labels, groups, was), predictions(labels, groups, now), MINIMUM)["answer"])
    assert sum(f.verdict == "regressed" for f in found) >= 19
    assert np.mean([f.change for f in found]) == pytest.approx(-0.05, abs=0.004)


def test_noise_under_patient_groups_is_seldom_called_a_regression():
    labels, groups = patients(100, 4)
    verdicts, ps = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, other = (predictions(labels, groups, read(labels, groups, 0.8, rng)) for _ in range(2))
        found = compare(one, other, MINIMUM)["answer"]
        verdicts.append(found.verdict)
        ps.append(found.p)
    assert verdicts.count("regressed") <= 10
    # 200 tests at 0.05: 10 expected, more than 18 has a chance of 1 percent.
    assert sum(p < 0.05 for p in ps) <= 18


def test_an_improvement_is_reported():
    labels, groups = patients(300, 2)
    rng = np.random.default_rng(0)
    was, now = (predictions(labels, groups, read(labels, groups, a, rng)) for a in (0.5, 0.9))
    assert compare(was, now, MINIMUM)["answer"].verdict == "improved"
    assert compare(now, was, MINIMUM)["answer"].verdict == "regressed"


def test_few_images_cannot_decide():
    labels, groups = patients(12, 2)
    rng = np.random.default_rng(0)
    was, now = (predictions(labels, groups, read(labels, groups, 0.8, rng)) for _ in range(2))
    assert compare(was, now, MINIMUM)["answer"].verdict == "inconclusive"


def test_contributions_add_up_to_the_change():
    labels, groups = patients(31, 3)
    rng = np.random.default_rng(3)
    was, now = (read(labels, groups, a, rng) for a in (0.9, 0.6))
    found = compare(predictions(labels, groups, was), predictions(labels, groups, now), MINIMUM)["answer"]
    assert contributions(labels, groups, was, now, 3).sum() == pytest.approx(found.change)


def test_sign_flip_is_the_exact_test_in_a_small_case():
    assert sign_flip(np.array([1.0, 1.0, 1.0, 1.0, 0.0])) == pytest.approx(2 / 16, abs=0.01)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"data_fingerprint": "g"}, "data"),
        ({"prompt": "q"}, "prompt"),
        ({"probe": "mlp"}, "probe"),
        ({"classes": ["a", "b", "z"]}, "classes"),
        ({"images": [f"x{i}" for i in range(12)]}, "images"),
        ({"labels": [2, 1, 0] * 4}, "labels"),
    ],
)
def test_what_cannot_be_paired_is_refused(changed, word):
    labels, groups = patients(12, 1)
    with pytest.raises(BaselineError, match=word):
        compare(predictions(labels, groups, labels, **changed), predictions(labels, groups, labels), MINIMUM)
