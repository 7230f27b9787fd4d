"""What the probes read, and that they read nothing from noise."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medprobe.diagnostics.probes import folds, reading, ridge
from medprobe.diagnostics.scores import balanced_accuracy

Ints = NDArray[np.int64]


def patients(n_groups: int, per_group: int, k: int = 2) -> tuple[Ints, Ints, Ints]:
    groups = np.repeat(np.arange(n_groups), per_group)
    labels = groups % k
    return labels, groups, folds.assign(labels, groups, 5, 0)


def accuracy(reading: reading.Reading, labels: Ints) -> float:
    return balanced_accuracy(labels, reading.predictions, int(labels.max()) + 1)


@pytest.mark.parametrize("width", [8, 60, 200])
@pytest.mark.parametrize("per_group", [1, 4])
def test_noise_stays_at_chance(width: int, per_group: int) -> None:
    """Noise that the images of a patient share, as their anatomy, tells nothing of the label.

    Twenty draws, since one of 40 patients is off by 11 points (standard deviation).
    """
    outer, inner = [], []
    for seed in range(20):
        labels, groups, fold = patients(160 // per_group, per_group)
        rng = np.random.default_rng(seed)
        x = (
            rng.normal(size=(int(groups.max()) + 1, width))[groups] + 0.1 * rng.normal(size=(len(labels), width))
        ).astype(np.float32)
        reading = ridge.read_ridge(x, labels, groups, fold)
        outer.append(accuracy(reading, labels))
        inner.append(reading.inner_accuracy.mean())
    assert abs(np.mean(outer) - 0.5) < 0.08
    assert abs(np.mean(inner) - 0.5) < 0.08


@pytest.mark.parametrize("k", [3, 4])
@pytest.mark.parametrize("own", [0.0, 1e-3, 0.1, 1.0])
@pytest.mark.parametrize("told", [0.0, 1.5])
def test_columns_that_say_the_same_are_not_read_more_inside_than_out(k: int, own: float, told: float) -> None:
    """As of option likelihoods that rise and fall together: one column in effect, for three or four classes."""
    outer, inner = [], []
    for seed in range(5):
        labels, groups, fold = patients(48, 4, k)
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(len(labels), 1)) + told * labels[:, None]
        x = (common + own * rng.normal(size=(len(labels), 3))).astype(np.float32)
        reading = ridge.read_ridge(x, labels, groups, fold)
        outer.append(accuracy(reading, labels))
        inner.append(reading.inner_accuracy.mean())
    assert np.mean(inner) - np.mean(outer) < 0.15
    assert np.mean(outer) > (1 / k + 0.25 if told else 0.2)


@pytest.mark.parametrize("probe", ["ridge", "mlp"])
@pytest.mark.parametrize("value", [0.0, 1.0, 1234.567, 1e-6])
def test_constant_features_are_at_chance(probe: ridge.ProbeName, value: float) -> None:
    labels, groups, fold = patients(20, 2)
    x = np.full((len(labels), 30), value, dtype=np.float32)
    reading = ridge.read(probe, x, labels, groups, fold, 0)
    assert np.isfinite(reading.log_probabilities).all()
    assert abs(accuracy(reading, labels) - 0.5) <= 0.15
    assert reading.inner_accuracy.max() <= 0.5  # else a dead locus would be chosen to speak for an exit


def test_what_rounding_leaves_of_the_labels_is_not_read() -> None:
    labels, groups, fold = patients(40, 2)
    rng = np.random.default_rng(9)
    x = np.tile(rng.normal(size=20), (len(labels), 1)) * np.array([1e-3, *np.ones(19)])
    x = (x + 1e-6 * rng.normal(size=x.shape) * (1 + 3 * labels[:, None])).astype(np.float32)
    reading = ridge.read_ridge(x, labels, groups, fold)
    assert reading.inner_accuracy.max() <= 0.5


@pytest.mark.parametrize("width", [5, 400])
@pytest.mark.parametrize("k", [2, 3])
def test_separable_features_are_read(width: int, k: int) -> None:
    labels, groups, fold = patients(60, 2, k)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(k, width)) * 3
    x = (centres[labels] + rng.normal(size=(len(labels), width))).astype(np.float32)
    reading = ridge.read_ridge(x, labels, groups, fold)
    assert accuracy(reading, labels) > 0.97
    assert reading.inner_accuracy.min() > 0.95
    np.testing.assert_allclose(np.exp(reading.log_probabilities).sum(axis=1), 1)


def test_the_scale_of_the_features_does_not_matter() -> None:
    labels, groups, fold = patients(40, 2)
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(len(labels), 6)) + 0.6 * labels[:, None]).astype(np.float32)
    plain = ridge.read_ridge(x, labels, groups, fold)
    scaled = ridge.read_ridge(x * np.float32(1024) + np.float32(64), labels, groups, fold)
    np.testing.assert_allclose(plain.log_probabilities, scaled.log_probabilities, atol=1e-2)


def test_a_held_out_image_changes_no_other_prediction() -> None:
    labels, groups, fold = patients(40, 2)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(len(labels), 12)).astype(np.float32)
    before = ridge.read_ridge(x, labels, groups, fold)
    moved = x.copy()
    moved[0] += 100
    after = ridge.read_ridge(moved, labels, groups, fold)
    same_fold = (fold == fold[0]) & (np.arange(len(labels)) != 0)
    np.testing.assert_array_equal(before.log_probabilities[same_fold], after.log_probabilities[same_fold])
    assert (before.log_probabilities[fold != fold[0]] != after.log_probabilities[fold != fold[0]]).any()


@pytest.mark.parametrize("width", [4, 70])
def test_leave_group_out_scores_equal_a_refit(width: int) -> None:
    """In closed form: what a ridge with a free intercept, refitted without the group, predicts beyond its own mean."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(12), [1, 2, 3] * 4)
    labels = groups % 3
    x = rng.normal(size=(len(groups), width))
    x -= x.mean(axis=0)
    fitted = ridge.Ridge.factorise(x, x[:2], groups)
    y = np.eye(3)[labels]
    centred = y - y.mean(axis=0)
    for penalty in fitted.penalties:
        left_out = fitted.scores(centred.T, centred.T @ fitted.u, penalty)[0].T
        for group in (0, 4, 11):
            others = groups != group
            design = x[others] - x[others].mean(axis=0)
            gram = design.T @ design + penalty * np.eye(width)
            slope = np.linalg.solve(gram, design.T @ (y[others] - y[others].mean(axis=0)))
            expected = (x[~others] - x[others].mean(axis=0)) @ slope
            np.testing.assert_allclose(left_out[~others], expected, atol=2e-6)


@pytest.mark.parametrize("width", [4, 70])
def test_held_out_scores_equal_a_ridge_of_sklearn(width: int) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(4)
    labels, groups = np.arange(30) % 2, np.arange(30)
    x, z = rng.normal(size=(30, width)), rng.normal(size=(5, width))
    mean = x.mean(axis=0)
    fitted = ridge.Ridge.factorise(x - mean, z - mean, groups)
    y = np.eye(2)[labels]
    centred = y - y.mean(axis=0)
    for penalty in fitted.penalties:
        scores = fitted.scores(centred.T, centred.T @ fitted.u, penalty)[1].T
        expected = Ridge(alpha=penalty).fit(x, y).predict(z) - y.mean(axis=0)
        np.testing.assert_allclose(scores, expected, atol=1e-8)


@pytest.mark.parametrize(("k", "width", "per_group"), [(2, 6, 1), (3, 200, 4)])
def test_many_labellings_are_read_as_if_each_were_alone(k: int, width: int, per_group: int) -> None:
    labels, groups, fold = patients(24, per_group, k)
    rng = np.random.default_rng(8)
    x = (rng.normal(size=(len(labels), width)) + labels[:, None]).astype(np.float32)
    sets = np.stack([labels, *(labels[np.argsort(rng.random(24))[groups] * per_group] for _ in range(3))])
    log_probabilities = ridge.read_label_sets(x, sets, groups, fold, k)
    for i, one in enumerate(sets):
        alone = ridge.read_ridge(x, one, groups, fold)
        np.testing.assert_allclose(log_probabilities[i], alone.log_probabilities, atol=1e-6)
    assert (
        np.ptp([np.mean(read.argmax(axis=1) == one) for read, one in zip(log_probabilities, sets, strict=True)]) > 0.05
    )


def test_unequal_classes_are_read_with_equal_priors() -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([0, 1], [180, 20])
    groups = np.arange(200)
    x = (rng.normal(size=(200, 3)) + 1.5 * labels[:, None]).astype(np.float32)
    reading = ridge.read_ridge(x, labels, groups, folds.assign(labels, groups, 5, 0))
    assert np.mean(reading.predictions[labels == 1] == 1) > 0.8


def test_the_papers_probe_reads_what_is_there_and_not_noise() -> None:
    labels, groups, fold = patients(60, 2)
    rng = np.random.default_rng(6)
    noise = rng.normal(size=(len(labels), 16)).astype(np.float32)
    clear = noise + 3 * labels[:, None].astype(np.float32)
    reading = ridge.read("mlp", clear, labels, groups, fold, 0)
    assert accuracy(reading, labels) > 0.95
    assert reading.inner_accuracy.shape == (5,)
    assert reading.inner_accuracy.min() > 0.9
    assert 0.3 < accuracy(ridge.read("mlp", noise, labels, groups, fold, 0), labels) < 0.7
    again = ridge.read("mlp", clear, labels, groups, fold, 0)
    np.testing.assert_array_equal(reading.log_probabilities, again.log_probabilities)


def test_loci_trained_together_are_read_as_if_each_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loci of two widths, one of them of more columns than images, in one training and one by one: within 1e-3 of
    log-probability, since sums of other order drift apart over the steps."""
    from medprobe.diagnostics.probes import mlp

    labels, groups, fold = patients(30, 2)
    rng = np.random.default_rng(9)
    loci = [
        (rng.normal(size=(len(labels), width)) + strength * labels[:, None]).astype(np.float32)
        for width, strength in [(12, 0.3), (90, 0.1), (12, 0.0), (12, 0.8)]
    ]
    together = mlp.read_mlp_loci(loci, labels, fold, 0)
    for x, read in zip(loci, together, strict=True):
        alone = mlp.read_mlp(x, labels, groups, fold, 0)
        np.testing.assert_allclose(read.log_probabilities, alone.log_probabilities, atol=1e-3)
        np.testing.assert_allclose(read.inner_accuracy, alone.inner_accuracy, atol=1e-12)
    assert len(mlp._together([12, 60, 12, 12], 60, 10)) == 2
    monkeypatch.setattr(mlp, "AT_ONCE", {"cpu": 1, "cuda": 1})
    assert mlp._together([12, 60, 12], 60, 10) == [[0], [2], [1]]


def test_the_written_out_gradients_are_those_of_autograd() -> None:
    from medprobe.diagnostics.probes import mlp

    generator = torch.Generator().manual_seed(3)
    shapes = [(2, 5, 7), (2, 1, 7), (2, 7, 3), (2, 1, 3)]
    w1, b1, w2, b2 = weights = [torch.randn(*shape, generator=generator).requires_grad_() for shape in shapes]
    x, target = torch.randn(2, 4, 5, generator=generator), torch.tensor([[0, 1, 2, 2], [1, 1, 0, 2]])
    kept = (torch.rand(2, 4, 7, generator=generator) > 0.3) / 0.7
    scores = (x @ w1 + b1).relu() * kept @ w2 + b2
    # Each head's mean, summed over heads.
    (2 * torch.nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten())).backward()
    expected = [weight.grad.clone() for weight in weights if weight.grad is not None]
    with torch.no_grad():
        mlp._gradients(x, target, kept, *weights)
    for weight, grad in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, grad)


def test_permuted_labels_beside_the_true_ones_change_nothing() -> None:
    labels, groups, fold = patients(24, 2)
    rng = np.random.default_rng(10)
    x = (rng.normal(size=(len(labels), 9)) + 0.5 * labels[:, None]).astype(np.float32)
    permuted = np.stack([labels[np.argsort(rng.random(24))[groups] * 2] for _ in range(3)])
    reading, read = ridge.read_beside(x, labels, permuted, groups, fold)
    alone = ridge.read_ridge(x, labels, groups, fold)
    np.testing.assert_array_equal(reading.log_probabilities, alone.log_probabilities)
    np.testing.assert_array_equal(reading.inner_accuracy, alone.inner_accuracy)
    apart = ridge.read_label_sets(x, permuted, groups, fold, 2, np.float32)
    np.testing.assert_array_equal(read, apart)


def test_the_papers_probe_takes_three_uneven_folds() -> None:
    labels = np.arange(31) % 2
    fold = np.repeat([0, 1, 2], [11, 10, 10])
    x = (np.random.default_rng(7).normal(size=(31, 4)) + 4 * labels[:, None]).astype(np.float32)
    reading = ridge.read("mlp", x, labels, np.arange(31), fold, 0)
    assert accuracy(reading, labels) > 0.8


def test_probes_read_other_features_as_they_read_their_own():
    rng = np.random.default_rng(5)
    labels, groups = np.repeat([0, 1, 2], 20), np.arange(60) // 2
    features = (rng.normal(size=(60, 8)) + labels[:, None]).astype(np.float32)
    folds = (np.arange(60) // 2) % 5
    rows = np.arange(0, 60, 3)
    own = ridge.read_ridge(features, labels, groups, folds)
    read, inner = ridge.read_altered(
        features, np.stack([features[rows], features[rows] * 0]), rows, labels, groups, folds
    )
    np.testing.assert_allclose(read[0], own.log_probabilities[rows])
    np.testing.assert_allclose(inner, own.inner_accuracy)
    # Features that are all alike are read alike within a fold, whatever their labels.
    for fold in range(5):
        assert len(set(read[1].argmax(axis=1)[folds[rows] == fold])) == 1
