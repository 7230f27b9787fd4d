"""Which gate decided, said by every output; an accepted failure that passes, said in a sentence."""

from __future__ import annotations

import json
from datetime import date

import pytest

from medprobe.diagnostics.baselines.outcome import brief_outcome, decided, gate_sentence, gate_verdicts
from medprobe.diagnostics.records.chain import worst
from medprobe.diagnostics.records.regression import Change
from medprobe.plugins.allure.content import description
from medprobe.plugins.project import Accepted
from medprobe.plugins.report.outputs.markdown import job_summary
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.terminal import summary_lines, total_line
from medprobe.plugins.run import ci
from medprobe.plugins.run.reporting import _outdated
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_ci import Table, call_of

LOST = Change(change=-0.847, ci=(-0.938, -0.742), p=0.0002, p_adjusted=0.0004, verdict="regressed")
KEPT = Change(change=0.003, ci=(-0.01, 0.016), p=0.7, p_adjusted=0.7, verdict="not_regressed")


def compared(diagnosis, verdict):
    exits = {"answer": LOST if verdict == "regressed" else KEPT}
    regression = samples.regressed().model_copy(
        update={
            "verdict": verdict,
            "exits": exits,
            "sensitivity": {},
            "specificity": {},
            "health_drops": [],
            "baseline": samples.regressed().baseline.model_copy(update={"file": "release.json"}),
        }
    )
    return diagnosis.model_copy(update={"regression": regression})


def report(gate, *diagnoses, outdated=()):
    whole = samples.report(*diagnoses)
    verdict = worst([v for d in diagnoses for v in gate_verdicts(d, gate).values()])
    return whole.model_copy(update={"gate": gate, "verdict": verdict, "outdated": list(outdated)})


REGRESSED = "regressed against release.json: answer -84.7 (-93.8 to -74.2)"
HELD = "not regressed against release.json: answer +0.3 (-1.0 to +1.6)"


@pytest.mark.parametrize(
    ("gate", "links", "change", "line"),
    [
        (
            "regression",
            samples.llm_fail,
            "not_regressed",
            f"verdict: pass by the regression gate: {HELD}; the absolute gate, which was not asked, says fail",
        ),
        ("regression", samples.healthy, "not_regressed", f"verdict: pass by the regression gate: {HELD}"),
        (
            "regression",
            samples.healthy,
            "regressed",
            f"verdict: fail by the regression gate: {REGRESSED}; the absolute gate, which was not asked, says pass",
        ),
        (
            "both",
            samples.healthy,
            "regressed",
            f"verdict: fail by the regression gate: {REGRESSED}; the absolute gate says pass",
        ),
        (
            "both",
            samples.llm_fail,
            "not_regressed",
            "verdict: fail by the absolute gate: LLM comprehension deficit; the regression gate says pass",
        ),
        (
            "both",
            samples.llm_fail,
            "regressed",
            f"verdict: fail by both gates: LLM comprehension deficit; {REGRESSED}",
        ),
        ("both", samples.healthy, "not_regressed", f"verdict: pass by both gates: {HELD}"),
    ],
)
def test_the_verdict_line_says_which_gate_decided(gate, links, change, line):
    assert total_line(report(gate, compared(links(), change))) == line


def test_without_a_baseline_no_gate_is_named():
    assert decided(report("absolute", samples.healthy())) == ""
    assert gate_sentence(samples.healthy(), "absolute") == ""
    assert total_line(report("absolute", samples.healthy())) == "verdict: pass"


def test_of_several_diagnoses_the_gate_is_named_and_what_each_found_stands_with_it():
    whole = report("both", compared(samples.healthy(), "regressed"), compared(samples.tied(), "not_regressed"))
    assert total_line(whole) == "verdict: fail by both gates (1 fail, 1 pass)"
    quiet = " ".join(" ".join(summary_lines(whole, 80, -1)).split())
    assert f"PASS; {REGRESSED}" in quiet
    assert HELD in quiet


def test_the_badge_says_what_decided():
    lost = report("regression", compared(samples.llm_fail(), "regressed"))
    assert json.loads(ci.badge(lost))["message"] == f"fail, {REGRESSED}"
    held = report("regression", compared(samples.llm_fail(), "not_regressed"))
    assert json.loads(ci.badge(held)) | {"color": "brightgreen"} == json.loads(ci.badge(held))
    assert brief_outcome(held) == f"pass, {HELD}"
    several = report("regression", compared(samples.healthy(), "regressed"), compared(samples.tied(), "regressed"))
    assert brief_outcome(several) == "fail, regression gate"


def test_the_pages_say_it_in_the_first_box_and_in_a_column(tmp_path):
    whole = report("regression", compared(samples.llm_fail(), "regressed"))
    write_pages(whole, tmp_path, [None])
    index = (tmp_path / "index.html").read_text("utf-8")
    assert f"by the regression gate: {REGRESSED}" in index
    assert '<th scope="col">against the baseline</th>' in index
    page = next(tmp_path.glob("*/index.html")).read_text("utf-8")
    box = page[page.index('aria-label="Verdict"') : page.index("</section>")]
    assert f"R{REGRESSED[1:]}; the regression gate alone decides this run, the absolute gate would say fail." in box


def test_the_job_summary_and_allure_say_it():
    diagnosis = compared(samples.healthy(), "regressed")
    text = job_summary(report("both", diagnosis))
    assert text.startswith("### medprobe verdict&#58; fail by the regression gate&#58; regressed against release")
    assert f"{REGRESSED}; the regression gate decides, absolute pass, regression fail" in Table(text).rows[1][5]
    html = description("regression", diagnosis, "both")
    assert f"<b>R{REGRESSED[1:]}; the regression gate decides, absolute pass, regression fail.</b>" in html


def accepted(mode):
    until = date(2999, 1, 1)
    return Accepted(model="phantom", dataset="phantom", mode=mode, reason="known", until=until)


SAID = "phantom on phantom: the accepted failure connector_fidelity_loss passes: remove it from medprobe.toml"


def test_an_accepted_failure_that_passes_is_found():
    call = call_of(accepted("connector_fidelity_loss"), gate="absolute")
    assert _outdated([samples.healthy()], call) == [SAID]
    assert _outdated([samples.healthy()], call_of(accepted("connector_fidelity_loss"), gate="regression")) == []
    assert _outdated([samples.healthy()], call_of(gate="absolute")) == []
    lost = samples.connector_fail().model_copy(update={"model": "phantom", "dataset": "phantom"})
    assert _outdated([lost], call) == []


def test_an_accepted_failure_that_passes_is_said_everywhere(tmp_path):
    whole = report("absolute", samples.healthy(), outdated=[SAID])
    assert ci.commands(whole, call_of()) == [f"::error title=medprobe%3A an accepted failure passes::{SAID}"]
    badge = json.loads(ci.badge(whole))
    assert badge["message"] == "pass; an accepted failure passes: remove it from medprobe.toml"
    assert badge["color"] == "red"
    assert "remove it from medprobe" in job_summary(whole)
    assert SAID in " ".join(" ".join(summary_lines(whole)).split())
    write_pages(whole, tmp_path, [None])
    assert f"{SAID}." in (tmp_path / "index.html").read_text("utf-8")
