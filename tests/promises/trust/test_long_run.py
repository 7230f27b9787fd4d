"""A process that diagnoses again and again holds no more than before: `benchmarks/long_run.py` in short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import long_run
from tests.places import RESULTS

COMMITTED = RESULTS / "long_run.json"


@pytest.mark.slow
def test_nothing_is_left_open_after_a_diagnosis(tmp_path: Path) -> None:
    """Memory is for the long run to tell: the first diagnoses fill caches."""
    grown = long_run.growth(long_run.run(6, tmp_path))
    del grown["mib_per_diagnosis"]
    assert grown == dict.fromkeys(grown, 0)


def test_the_committed_long_run_kept_to_its_bounds() -> None:
    found = json.loads(COMMITTED.read_text("utf-8"))
    assert found["diagnoses"] >= 200
    assert found["bounds"] == long_run.BOUNDS
    assert all(found["growth"][name] <= bound for name, bound in long_run.BOUNDS.items())
