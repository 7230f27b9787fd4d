"""What enters the LLM separates the classes as well as what left the tower, within the margin."""

from diagnostics.checks import check
from diagnostics.records import Diagnosis


def test_connector_fidelity_loss(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "connector_fidelity_loss", fail_inconclusive)
