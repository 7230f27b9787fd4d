"""Strata in every output."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import date

import pytest

from medprobe.diagnostics.baselines.outcome import decided, gate_verdicts
from medprobe.diagnostics.records.chain import Share, worst
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.subgroups import Strata
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.subgroups.reading import read_strata
from medprobe.fixtures.models.registry import resolve
from medprobe.plugins.allure.content import SUBGROUPS, description, steps
from medprobe.plugins.call import Call, DatasetSpec, Pair
from medprobe.plugins.project import Accepted
from medprobe.plugins.report.entries import ReportEntry, lineage
from medprobe.plugins.report.outputs.markdown import job_summary
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.table import csv_text, rows_of
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.report.sections.subgroups import MOST_STRATA, stratum_rows
from medprobe.plugins.run.ci import commands
from medprobe.plugins.run.properties import found
from tests.unit.diagnostics.subgroups.simulated import simulated
from tests.unit.plugins.report import samples


@pytest.fixture(scope="module")
def one_sex() -> Diagnosis:
    """A healthy chain whose answer fails one sex; the name of a value is hostile."""
    read, strata = simulated("sex")
    strata["sex"] = Strata(values=["<b>f</b>", "male"], codes=strata["sex"].codes)
    attributes = read_strata(read, strata, 0.1)
    assert attributes is not None
    probed = [one.model_copy(update={"probes": {"llm": Share(value=0.9, ci=(0.8, 0.95))}}) for one in attributes.each]
    return samples.healthy().model_copy(
        update={"attributes": attributes.model_copy(update={"each": probed}), "classes": list(read.classes)}
    )


def test_a_failing_stratum_makes_the_run_fail_and_is_said_to(one_sex: Diagnosis) -> None:
    assert one_sex.verdict == "pass"
    assert gate_verdicts(one_sex, "absolute") == {"absolute": "fail"}
    report = samples.report(one_sex)
    assert report.verdict == worst(list(gate_verdicts(one_sex, "absolute").values())) == "fail"
    assert decided(report).startswith("by the strata: ")
    told = " ".join(" ".join(summary_lines(report, 80)).split())
    assert "; strata: FAIL" in told
    assert "strata: fail: sensitivity for " in told
    assert "below the rest" in told
    assert "by the strata" not in decided(samples.report(samples.healthy()))


def test_the_job_summary_says_it_and_the_run_is_red_for_it(one_sex: Diagnosis, tmp_path) -> None:
    report = samples.report(one_sex)
    assert "strata&#58; sensitivity for " in job_summary(report)
    pair = Pair(resolve("phantom"), DatasetSpec("phantom", one_sex.dataset))
    call = Call((pair,), Settings(tmp_path), tmp_path, False, (), "absolute", {}, None)
    (command,) = commands(report, call)
    assert command.startswith("::error ")
    entry = Accepted(
        model=one_sex.model, dataset=one_sex.dataset, mode="subgroups", reason="known", until=date(2999, 1, 1)
    )
    (command,) = commands(report, replace(call, accepted=(entry,)))
    assert command.startswith("::warning ")


def test_the_terminal_lists_strata_where_more_is_asked_for(one_sex: Diagnosis) -> None:
    assert any(line.strip().startswith("scanner A: answer ") for line in summary_lines(samples.report(one_sex), 80, 1))


def test_the_page_escapes_values_and_names_the_worst(one_sex: Diagnosis, tmp_path) -> None:
    write_pages(samples.report(one_sex), tmp_path, [None], [])
    html = next(tmp_path.glob("*/index.html")).read_text("utf-8")
    assert "<h2>Strata</h2>" in html
    assert "<b>f</b>" not in html
    assert "&lt;b&gt;f&lt;/b&gt;" in html


def test_programs_get_a_value_and_bounds_for_each_stratum(one_sex: Diagnosis) -> None:
    properties = dict(found(one_sex))
    assert properties["subgroups"] == "fail"
    assert properties["worst_stratum"] == "sex <b>f</b>"
    share = one_sex.attributes.each[0].strata[1].sensitivity["malignant"]
    assert properties["sensitivity.answer.malignant.sex.male"] == f"{share.value:.4f}"
    entries = [ReportEntry(one_sex)]
    (row,) = csv.DictReader(io.StringIO(csv_text(rows_of(entries, lineage(entries)))))
    assert float(row["sensitivity_answer_malignant_sex_male_high"]) == share.ci[1]
    assert row["subgroups"] == "fail"


def test_allure_has_a_step_for_each_judged_stratum(one_sex: Diagnosis) -> None:
    told = steps(SUBGROUPS, one_sex)
    assert {step.verdict for step in told} >= {"fail"}
    assert len(told) == 5
    assert "Sensitivity for" in description(SUBGROUPS, one_sex)


def test_a_page_shows_no_more_rows_than_a_screen_holds() -> None:
    read, _ = simulated("healthy")
    sites = Strata(values=[f"s{i:02d}" for i in range(20)], codes=[int(g) // 12 for g in read.groups])
    rows = stratum_rows(read_strata(read, {"site": sites}, 0.1))
    assert len(rows) == MOST_STRATA
    assert {row.verdict for row in rows} == {"counted"}
