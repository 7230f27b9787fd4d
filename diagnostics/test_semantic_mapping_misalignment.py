"""The words that come out say what the last layer holds, within the margin."""

from medprobe.diagnostics.checks import check
from medprobe.diagnostics.records.report import Diagnosis


def test_semantic_mapping_misalignment(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "semantic_mapping_misalignment", fail_inconclusive)
