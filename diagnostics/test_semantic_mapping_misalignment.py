"""The words that come out say what the last layer holds, within the margin."""

from diagnostics.checks import check
from diagnostics.records import Diagnosis


def test_semantic_mapping_misalignment(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "semantic_mapping_misalignment", fail_inconclusive)
