"""What the probe is compared with is scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import small_samples
from benchmarks.small_samples import Cell


@pytest.mark.parametrize(("width", "n_classes", "skewed"), [(16, 2, True), (64, 3, False)])
def test_the_ridge_classifier_is_that_of_scikit_learn(width: int, n_classes: int, skewed: bool) -> None:
    from sklearn.linear_model import RidgeClassifier

    x, labels, _ = small_samples.draw(Cell(60, width, "middle", n_classes, skewed), np.random.default_rng(0))
    features, penalties = x.astype(np.float64), np.array([0.3, 30.0])
    read = small_samples.ridge_classifier(features[:40], labels[:40], features, penalties, n_classes)
    for penalty, found in zip(penalties, read, strict=True):
        fitted = RidgeClassifier(alpha=penalty, class_weight="balanced").fit(features[:40], labels[:40])
        np.testing.assert_array_equal(found, fitted.predict(features))


def test_the_probe_keeps_up_on_few_images_and_knows_how_well() -> None:
    found = small_samples.run(Cell(60, 16, "strong", 2, False), 8)
    assert found["difference"][0] > -3
    assert abs(found["inner_bias"][0]) < 5
