"""The two trades of sensitivity for specificity are named, and equally good models are not; on seeds of their own."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.by_class import SETS, SMALL, STUDY, TRADES, alike, told, traded


@pytest.mark.parametrize("trade", TRADES)
def test_a_trade_is_named_at_600_images(trade):
    named = [told(traded(SETS[SMALL], *TRADES[trade], np.random.default_rng([9, i]))) for i in range(8)]
    # 97 and 100 of 100 are named in benchmarks/results/by_class.json; under 7 of 8 has a chance of 2 percent.
    assert sum(row["sensitivity for malignant"] == "regressed" for row in named) >= 7
    assert not any(row["answer"] == "regressed" for row in named)


def test_equally_good_models_are_seldom_called():
    called = [told(alike(SETS["BUSI"], 0.05, np.random.default_rng([8, i])))["whole"] for i in range(12)]
    # At 5 percent more than 3 of 12 have a chance of 0.2 percent.
    assert called.count("regressed") <= 3


def test_an_equally_good_reading_is_as_good_in_truth():
    from benchmarks.by_class import RECALL, again, read

    rng = np.random.default_rng(7)
    labels, groups = np.arange(60_000) % 3, np.arange(60_000)
    before = read(labels, rng.random(60_000) < RECALL, 3, rng)
    after = again(before, labels, groups, 0.05, 3, rng)
    assert np.mean(after == labels) == pytest.approx(np.mean(before == labels), abs=0.003)
    assert np.mean((after == labels) != (before == labels)) == pytest.approx(0.05, abs=0.004)


def test_few_of_the_committed_runs_are_called():
    found = STUDY.found()
    runs = sum(row["runs"] for row in found["alike"])
    assert sum(row["verdicts"]["whole"].get("regressed", 0) for row in found["alike"]) <= 0.05 * runs
