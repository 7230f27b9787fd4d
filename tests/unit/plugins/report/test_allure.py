"""The Allure report's words, categories and files, from diagnoses made by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.checks import check, check_regression
from medprobe.diagnostics.records.chain import FAILURE_MODES
from medprobe.plugins.allure.content import MEANINGS, REGRESSION, description, steps
from medprobe.plugins.allure.files import CATEGORIES, executor, properties, settings
from tests.places import REFERENCE
from tests.unit.plugins.report import samples

OUTCOMES = (AssertionError, pytest.skip.Exception)


def category(status: str, message: str) -> str | None:
    """The first whose status and message match, as Allure looks for it."""
    for entry in CATEGORIES:
        for matcher in entry["matchers"]:
            if status in matcher["statuses"] and re.search(matcher.get("message", ""), message):
                return entry["name"]
    return None


def outcome(function, *arguments) -> tuple[str, str]:
    with pytest.raises(OUTCOMES) as found:
        function(*arguments)
    return "skipped" if found.errisinstance(pytest.skip.Exception) else "failed", found.exconly()


@pytest.mark.parametrize("mode", FAILURE_MODES.values())
@pytest.mark.parametrize("fail_inconclusive", [False, True])
def test_an_undecided_link_is_inconclusive_skipped_or_failed(mode, fail_inconclusive):
    assert category(*outcome(check, samples.undecided(), mode, fail_inconclusive)) == "inconclusive"


@pytest.mark.parametrize(
    ("sample", "mode"),
    [
        (samples.vision_fail(), "visual_representation_quality"),
        (samples.connector_fail(), "connector_fidelity_loss"),
        (samples.llm_fail(), "llm_comprehension_deficit"),
    ],
)
def test_a_failing_link_is_filed_under_its_mode(sample, mode):
    assert category(*outcome(check, sample, mode, True)) == mode.replace("_", " ").replace("llm", "LLM")


def test_what_is_neither_verdict_is_an_error_of_the_suite():
    diagnosis = samples.healthy().model_copy(update={"regression": samples.regressed()})
    assert category(*outcome(check_regression, diagnosis, False)) == "regression"
    assert category("failed", "Failed: m on d: out of memory at [connector_fidelity_loss]") == "suite error"
    assert category("broken", "OSError: disk full") == "suite error"
    assert category("skipped", "XFAIL known\n\nAssertionError: [connector_fidelity_loss] ...") == "accepted failure"
    assert category("failed", "") == "accepted failure that passes"
    assert category("skipped", "Skipped: no network") is None


def test_names_are_text_in_the_description():
    """A model and a reason that are markup, at every place they are shown."""
    evil = samples.SCRIPT_NAME
    diagnosis = samples.connector_fail()
    modes = diagnosis.failure_modes
    link = modes.connector_fidelity_loss.model_copy(update={"reason": evil})
    diagnosis = diagnosis.model_copy(
        update={"failure_modes": modes.model_copy(update={"connector_fidelity_loss": link}), "model": evil}
    )
    regressed = samples.regressed().model_copy(update={"reason": evil})
    for html in (
        description("connector_fidelity_loss", diagnosis),
        description(REGRESSION, diagnosis.model_copy(update={"regression": regressed})),
    ):
        assert "vil&lt;script&gt;" in html
        assert "<script" not in html


def test_the_description_says_verdict_question_and_remedy():
    html = description("connector_fidelity_loss", samples.connector_fail())
    assert html.startswith(
        "<p><b>This model loses the diagnosis in its connector, as swapping it with that of gemma-3-4b"
    )
    assert MEANINGS["connector_fidelity_loss"] in html
    assert "<li>Tune the connector alone" in html
    assert "<li>" not in description("visual_representation_quality", samples.connector_fail())
    assert description("connector_fidelity_loss", None).count("<p>") == 1


def test_the_steps_of_a_regression_are_the_places_and_classes_compared():
    found = samples.regressed()
    titles = steps(REGRESSION, samples.healthy().model_copy(update={"regression": found}))
    classes = [f"{m} for {name}" for m in ("sensitivity", "specificity") for name in ("normal", "pneumonia")]
    assert [step.title.split(":")[0] for step in titles] == [*found.exits, *classes]
    verdicts = {"regressed": "fail", "not_regressed": "pass", "improved": "pass", "inconclusive": "inconclusive"}
    changes = [*found.exits.values(), *found.sensitivity.values(), *found.specificity.values()]
    assert [step.verdict for step in titles] == [verdicts[change.verdict] for change in changes]


def test_the_answer_s_check_says_sensitivity_and_specificity_of_each_class():
    html = description("semantic_mapping_misalignment", samples.connector_fail())
    assert "<p>At the answer, pneumonia: sensitivity " in html
    assert "At the answer" not in description("connector_fidelity_loss", samples.connector_fail())


@pytest.mark.parametrize("check", MEANINGS)
def test_the_docs_ask_the_same(check):
    assert MEANINGS[check] in " ".join((REFERENCE / "failure-modes.md").read_text("utf-8").split())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\\\r\n=:#")))
def test_no_value_starts_another_property(value):
    lines = properties({"models": value, "seed": "0"}).split("\n")
    assert len(lines) == 3
    assert lines[1] == "seed=0"
    escapes = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
    assert re.sub(r"\\.", lambda m: escapes[m[0]], lines[0].removeprefix("models=")) == value


def test_the_history_lies_beside_the_results_and_is_named_from_the_working_folder(tmp_path):
    assert settings(tmp_path / "out" / "results", tmp_path)["historyPath"] == str(Path("out", "allure-history.jsonl"))
    elsewhere = settings(tmp_path / "results", tmp_path / "work")
    assert elsewhere["historyPath"] == str(tmp_path / "allure-history.jsonl")


def test_the_executor_is_the_ci_that_runs_it():
    assert executor({}) is None
    job = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKFLOW": "diagnose",
        "GITHUB_RUN_NUMBER": "7",
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_RUN_ID": "42",
    }
    assert executor(job) == {
        "name": "GitHub Actions",
        "type": "github",
        "buildName": "diagnose #7",
        "buildOrder": 7,
        "buildUrl": "https://github.example/a/b/actions/runs/42",
    }
    assert "buildOrder" not in executor({"JENKINS_URL": "x"})
