"""`--against` from the command line to the report."""

from __future__ import annotations

import pytest

from tests.runs.calling import Run, medprobe


@pytest.mark.usefixtures("first")
def test_the_cause_reaches_report_and_summary(store, small, tmp_path):
    run: Run = medprobe(
        *("--model", "phantom-connector", "--against", "phantom", "--dataset", small, "--store", store, "-n", "0"),
        report_dir=tmp_path,
    )
    cause = run.diagnoses["phantom-connector", "small"]["cause"]
    assert cause["module"] == "connector", run.out
    assert set(cause["effects"]) == set(cause["ci"]) == {"input", "vision", "connector", "llm", "answer"}
    assert cause["layer"] is None
    assert "cause: connector, by swapping with phantom" in run.out
    (page,) = tmp_path.glob("*/index.html")
    text = page.read_text("utf-8")
    assert "Cause: connector, by swapping with phantom" in text
    assert "Effect of each place" in text
