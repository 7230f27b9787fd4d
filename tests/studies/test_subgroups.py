"""What the study of strata promises, on draws of their own and on the committed numbers."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulated_answers import SETS, SMALL
from benchmarks.subgroups import STUDY, TRUTHS, kind, simulated


def test_an_answer_that_follows_the_scanner_is_named() -> None:
    told = simulated(SETS[SMALL], TRUTHS["half of the answers follow the scanner"], np.random.default_rng([5, 0]))
    assert "scanner" in told


def test_healthy_strata_are_not() -> None:
    assert not any(simulated(SETS[SMALL], TRUTHS["healthy"], np.random.default_rng([6, i])) for i in range(3))


@pytest.mark.parametrize("row", STUDY.found()["rows"], ids=lambda row: f"{row['base']}-{row['planted']}-{row['seed']}")
def test_what_was_planted_in_a_trained_phantom_is_named_and_nothing_else(row) -> None:
    assert kind(row)
    attribute = row["planted"].partition(" ")[0]
    assert (row["planted"] in row["named"]) == bool(row["planted"])
    assert not [one for one in row["named"] if one.partition(" ")[0] != attribute]


def test_healthy_strata_are_named_in_few_of_the_committed_runs() -> None:
    rows = [row for row in STUDY.found()["simulated"] if row["truth"] in ("healthy", "females lose the margin")]
    assert all(row["false"] <= 0.05 * row["runs"] for row in rows)
    assert sum(row["runs"] for row in rows if row["truth"] == "healthy") >= 600
