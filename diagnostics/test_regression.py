"""Answer and probe exits read no worse than the baseline's, beyond the minimum effect."""

from diagnostics.checks import check_regression
from diagnostics.records import Diagnosis


def test_regression(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check_regression(diagnosis, fail_inconclusive)
