"""No stratum of an attribute lies below the rest at the answer, beyond the margin, and none is a shortcut."""

from medprobe.diagnostics.checks import check_subgroups
from medprobe.diagnostics.records.report import Diagnosis


def test_subgroups(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check_subgroups(diagnosis, fail_inconclusive)
