"""Which checks are collected: those of the absolute gate, that of the regression gate, or both."""

from __future__ import annotations

from typing import Any

import pytest

from medprobe.plugins.options import CALL, CHECKS

REGRESSION = "test_regression"
SUBGROUPS = "test_subgroups"


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str) -> list[Any] | None:
    """Nothing for a check of a gate that was not asked for, nor for one of strata where no data set has attributes;
    None leaves it to pytest.
    """
    if collector.path.parent != CHECKS or not name.startswith("test_"):
        return None
    call = collector.config.stash[CALL]
    if name == SUBGROUPS and not any(pair.dataset.has_attributes() for pair in call.pairs):
        return []
    other = "absolute" if name == REGRESSION else "regression"
    return [] if call.gate == other else None
