"""A small slice of the study of intervals, and the page made of its rows."""

from __future__ import annotations

import pytest

from benchmarks import coverage
from benchmarks.coverage import Design


@pytest.mark.parametrize(
    "design",
    [
        Design(2, 3, (50, 50), 1, 0.0, 0.9, True, "all", 11),
        Design(2, 5, (50, 50), 4, 0.7, 0.9, True, "all", 12),
        Design(2, 8, (90, 10), None, 1.0, 1.0, True, "all", 13),
    ],
    ids=["3 groups", "5 groups", "8 groups among 80"],
)
def test_intervals_and_verdicts_keep_their_promise_with_few_groups(design: Design) -> None:
    """200 runs: 93 percent less three standard errors is 87.6, 6 percent and three 11."""
    found = coverage.run(design, coverage.rules(), 200)["rules"]
    before, now = found["before"], found["now"]
    assert min(now[key] for key in coverage.SHARES[:3]) >= 0.876
    assert now["pass"] <= 0.11
    assert now["fail"] <= 0.036
    # What the rule of before could not do, or the test would show nothing.
    assert min(before[key] for key in coverage.SHARES[:3]) < 0.876
    assert before["pass"] > 0.11


def test_images_of_a_group_are_correlated_as_asked() -> None:
    import numpy as np

    design = Design(2, 30, (50, 50), 4, 0.3, 0.6, True, "all", 5)
    right, after = coverage.Simulation.of(design).draw(np.random.default_rng(0), 0.8, 400)
    assert right.mean() == pytest.approx(0.8, abs=0.01)
    assert after.mean() == pytest.approx(0.74, abs=0.01)
    by_group = right.reshape(400, 60, 4).astype(float)
    assert np.corrcoef(by_group[:, :, 0].ravel(), by_group[:, :, 1].ravel())[0, 1] == pytest.approx(0.3, abs=0.03)
    assert not (after & ~right).any()


def test_the_comparison_calls_few_regressions_and_says_of_which_design() -> None:
    cells = list(coverage.losses())
    assert len(set(cells)) == len(cells) == len(coverage.STUDY.found()["regression"])
    found = coverage.regression(cells[1], 50)
    assert {name: found[name] for name in ("n_groups", "lost_points")} == {"n_groups": 3, "lost_points": 2.0}
    assert found["regressed"]["now"] <= 0.2
