"""Several data sets as one."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from medprobe.diagnostics.baselines.pooled import pooled, pooled_verdict
from medprobe.diagnostics.baselines.sentences import pooled_text
from medprobe.diagnostics.records.report import Diagnosis
from tests.unit.plugins.report.samples import regressed


def diagnosis(model, dataset, change, half, **changed):
    found = regressed()
    answer = found.exits["answer"].model_copy(update={"change": change, "ci": (change - half, change + half)})
    found = found.model_copy(update={"exits": found.exits | {"answer": answer}} | changed)
    return Diagnosis(model=model, revision=None, dataset=dataset, regression=found)


def test_changes_are_averaged_and_errors_add_up_as_squares():
    (found,) = pooled([diagnosis("m", "a", -0.03, 0.03), diagnosis("m", "b", -0.05, 0.04)])
    assert (found.model, found.datasets) == ("m", ["a", "b"])
    assert found.change == pytest.approx(-0.04)
    assert found.ci == pytest.approx((-0.065, -0.015))
    assert (found.asked, found.margin) == (0.02, 0.02)
    assert found.verdict == "inconclusive"
    assert pooled_text(found) == "m over a, b: inconclusive: the answer changed by -4.0 (-6.5 to -1.5) points"


def test_one_data_set_and_models_apart_are_not_pooled():
    assert not pooled([diagnosis("m", "a", 0, 0.1), diagnosis("n", "b", 0, 0.1)])
    assert not pooled([Diagnosis(model="m", revision=None, dataset=name, error="x") for name in "ab"])


def test_built_in_margins_become_what_the_sets_clear_together():
    """Each clears 4.3 points, both together 4.3 / sqrt(2)."""
    sets = [diagnosis("m", name, 0.0, 0.042, minimum_effect=0.043) for name in "ab"]
    (found,) = pooled(sets)
    assert found.margin == pytest.approx(0.043 / sqrt(2))
    assert found.verdict == "not_regressed"
    assert "together they clear losses of 3.04 points and more" in pooled_text(found)


def test_a_baseline_made_otherwise_asks_for_twice_the_margin():
    sets = {name: [diagnosis("m", d, -0.06, 0.04, made_otherwise=made) for d in "ab"] for name, made in MADE.items()}
    assert [pooled(found)[0].verdict for found in sets.values()] == ["regressed", "inconclusive"]


MADE = {"alike": {}, "otherwise": {"device": ("cpu", "cuda")}}


@pytest.mark.parametrize(
    ("ci", "verdict"),
    [
        ((-0.05, -0.021), "regressed"),
        ((-0.05, -0.02), "inconclusive"),
        ((-0.029, 0.0), "not_regressed"),
        ((-0.03, 0.0), "inconclusive"),
        ((0.001, 0.1), "improved"),
    ],
)
def test_a_pooled_verdict_turns_at_its_bounds(ci, verdict):
    assert pooled_verdict(ci, 0.02, 0.03) == verdict


def test_the_pooled_interval_holds_the_mean_of_the_true_changes():
    rng = np.random.default_rng(0)
    halves = 1.645 * np.array([0.01, 0.02])
    held = 0
    for _ in range(1000):
        changes = np.array([-0.01, 0.03]) + rng.normal(0, halves / 1.645)
        (found,) = pooled(
            [diagnosis("m", d, float(c), float(h)) for d, c, h in zip("ab", changes, halves, strict=True)]
        )
        held += found.ci[0] <= 0.01 <= found.ci[1]
    assert held / 1000 == pytest.approx(0.9, abs=0.03)
