"""Criteria fixed beforehand, as their users call them: the checks, the record, the exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.runs.calling import Run, medprobe

CRITERIA = """fixed = 2026-11-01
[least]
sensitivity.malignant = 0.05
specificity.normal = 1.0
"""


@pytest.mark.usefixtures("first")
def test_the_criteria_alone_decide_and_each_is_a_check(store: Path, small: Path, tmp_path: Path) -> None:
    file = tmp_path / "criteria.toml"
    file.write_text(CRITERIA)
    run: Run = medprobe(
        *("--model", "phantom-connector", "--dataset", small, "--store", store, "--acceptance", file),
        *("-v", "-n", "0", "--fail-inconclusive", "--error-code", "10"),
        report_dir=tmp_path / "reports",
    )
    assert set(run.outcomes()) == {
        "test_least_sensitivity_malignant[phantom-connector-small]",
        "test_least_specificity_normal[phantom-connector-small]",
    }
    assert run.outcomes()["test_least_specificity_normal[phantom-connector-small]"] == "FAILED"
    assert run.code == 1
    assert run.report["gate"] == "least"
    held = json.loads((run.report_dir / "acceptance.json").read_text("utf-8"))
    assert held["decision"] == {"fail": "not_accepted", "inconclusive": "undecided"}[run.report["verdict"]]
    assert held["criteria"] == {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "fixed": "2026-11-01",
        "purpose": None,
    }
    assert [row["verdict"] for row in held["models"][0]["criteria"]] == [
        criterion["verdict"] for criterion in run.diagnoses["phantom-connector", "small"]["least"]
    ]
    assert len(held["models"][0]["fingerprints"]["model"]) == 64
    assert held["criteria"]["sha256"] in "".join(run.out.split())
    assert str(tmp_path) not in (run.report_dir / "acceptance.html").read_text("utf-8")


@pytest.mark.usefixtures("first")
def test_a_model_that_cannot_be_measured_has_a_code_of_its_own(store: Path, torn: Path, tmp_path: Path) -> None:
    run = medprobe(
        *("--model", "phantom", "--dataset", torn, "--store", store, "--error-code", "10"),
        report_dir=tmp_path / "reports",
    )
    assert run.code == 10
    assert run.report["diagnoses"][0]["error"]
    assert not (run.report_dir / "acceptance.json").exists()
