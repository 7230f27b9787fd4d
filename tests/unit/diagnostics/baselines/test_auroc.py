"""The paired change of AUROC since a baseline."""

from __future__ import annotations

import numpy as np
import pytest

from medprobe.diagnostics.baselines.auroc import auroc_change
from tests.unit.diagnostics.baselines.test_regression import predictions


def runs(seed, quieter=0.0):
    """Two runs of 600 images in 200 patients, equally good but for what the second's scores lack."""
    rng = np.random.default_rng(seed)
    labels, groups = np.arange(200).repeat(3) % 3, np.arange(200).repeat(3)
    common = rng.normal(size=(600, 3)) + 1.5 * np.eye(3)[labels]
    before, after = (common + 0.3 * rng.normal(size=(600, 3)) for _ in range(2))
    after -= quieter * np.eye(3)[labels]
    return tuple(predictions(labels, groups, labels, options=of.tolist()) for of in (before, after))


def test_labels_that_stay_the_same_can_hide_a_loss_that_the_scores_show():
    from sklearn.metrics import roc_auc_score

    before, after = runs(0, quieter=0.6)
    assert before.places == after.places
    found = auroc_change(before, after, range(600), 0)
    labels = np.asarray(before.labels)

    def expected(run) -> float:
        p = np.exp(np.asarray(run.options))
        return roc_auc_score(labels, p / p.sum(axis=1, keepdims=True), multi_class="ovr")

    assert found.before == pytest.approx(expected(before))
    assert found.after == pytest.approx(expected(after))
    assert found.change == pytest.approx(found.after - found.before)
    assert found.ci[0] < found.change < found.ci[1] < 0


def test_images_in_another_order_are_paired_and_nothing_changed_has_no_interval():
    before, _ = runs(1)
    order = np.random.default_rng(0).permutation(600)
    shuffled = before.model_copy(update={"options": [before.options[i] for i in order]})
    found = auroc_change(shuffled, before, np.argsort(order).tolist(), 0)
    assert (found.change, found.ci) == (0.0, (0.0, 0.0))


def test_the_interval_of_equally_good_runs_holds_no_change():
    held = []
    for seed in range(60):
        before, after = runs(seed)
        held.append(auroc_change(before, after, range(600), seed).ci)
    # 57 expected; fewer than 53 has a chance of 2 percent.
    assert sum(low <= 0 <= high for low, high in held) >= 53
