"""What enters the LLM separates the classes as well as what left the tower, within the margin."""

from medprobe.diagnostics.checks import check
from medprobe.diagnostics.records.report import Diagnosis


def test_connector_fidelity_loss(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "connector_fidelity_loss", fail_inconclusive)
