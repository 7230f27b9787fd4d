"""The answer is at least as good as the thresholds require: a check of its own for each criterion, named after it."""

from collections.abc import Callable

from medprobe.diagnostics.checks import check_least
from medprobe.diagnostics.records.report import Diagnosis


def test_least(diagnosis: Diagnosis, criterion: str, fail_inconclusive: bool) -> None:
    check_least(diagnosis, criterion, fail_inconclusive)


def __getattr__(name: str) -> Callable[..., None]:
    """The function of `test_least_sensitivity_malignant`, a check that `plugins/run/gate.py` made."""
    if name.startswith("test_least_"):
        return test_least
    raise AttributeError(name)
