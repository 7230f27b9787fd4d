"""Which checks are collected: those of the gates asked for, and one for each criterion that the thresholds require."""

from __future__ import annotations

from typing import Any

from medprobe.plugins.options import CALL, CHECKS

REGRESSION, LEAST, SUBGROUPS = "test_regression", "test_least", "test_subgroups"


def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> list[Any] | None:
    """Nothing for a check of a gate that was not asked for, nor for one of strata where no data set has attributes; of
    what is required a check for each criterion, named after it, so that its id ends as all others do. None leaves it to
    pytest.
    """
    if collector.path.parent != CHECKS or not name.startswith("test_"):
        return None
    call = collector.config.stash[CALL]
    if name == LEAST:
        required = dict.fromkeys(f"test_{check}" for checks in call.least.values() for check in checks)
        return [item for check in required for item in collector._genfunctions(check, obj)]
    if name == SUBGROUPS and not any(pair.dataset.has_attributes() for pair in call.pairs):
        return []
    asked = ("regression", "both") if name == REGRESSION else ("absolute", "both")
    return None if call.gate in asked else []
