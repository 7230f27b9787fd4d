"""The last layer holds what entered the LLM, within the margin."""

from diagnostics.checks import check
from diagnostics.records import Diagnosis


def test_llm_comprehension_deficit(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    check(diagnosis, "llm_comprehension_deficit", fail_inconclusive)
