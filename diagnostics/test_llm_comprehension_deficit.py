"""The last layer holds what entered the LLM, within the margin."""

from medprobe.diagnostics.checks import check
from medprobe.diagnostics.records.report import Diagnosis


def test_llm_comprehension_deficit(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "llm_comprehension_deficit", fail_inconclusive)
