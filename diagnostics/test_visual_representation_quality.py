"""The end of the tower separates the classes as well as a supervised network does, within the margin."""

from medprobe.diagnostics.checks import check
from medprobe.diagnostics.records.report import Diagnosis


def test_visual_representation_quality(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "visual_representation_quality", fail_inconclusive)
