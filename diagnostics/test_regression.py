"""Answer and probe exits read no worse than the baseline's, beyond the minimum effect."""

from medprobe.diagnostics.checks import check_regression
from medprobe.diagnostics.records.report import Diagnosis


def test_regression(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check_regression(diagnosis, fail_inconclusive)
