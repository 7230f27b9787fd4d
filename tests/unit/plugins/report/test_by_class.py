"""Sensitivity and specificity of each class in every output."""

from __future__ import annotations

import csv
import io

from medprobe.plugins.report.entries import ReportEntry, lineage
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.table import csv_text, rows_of
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.run.properties import found
from tests.unit.plugins.report import samples


def test_the_terminal_names_each_class_with_intervals_where_more_is_asked_for():
    report = samples.report(samples.connector_fail())
    told = " ".join(" ".join(summary_lines(report, 80, 1)).split())
    share = samples.connector_fail().sensitivity["answer"]["pneumonia"]
    assert f"sensitivity for pneumonia: answer {100 * share.value:.1f}% ({100 * share.ci[0]:.1f} to " in told
    assert "specificity for normal: answer " in told
    assert "sensitivity for" not in " ".join(summary_lines(samples.report(samples.healthy())))


def test_the_table_for_programs_has_a_column_for_each_class_of_any_data_set():
    entries = [ReportEntry(samples.healthy()), ReportEntry(samples.connector_fail()), ReportEntry(samples.failed())]
    first, second, error = csv.DictReader(io.StringIO(csv_text(rows_of(entries, lineage(entries)))))
    share = samples.connector_fail().sensitivity["llm"]["pneumonia"]
    (row,) = (r for r in (first, second, error) if r["dataset"] == "chest-xray")
    assert [float(row[f"sensitivity_llm_pneumonia{end}"]) for end in ("", "_low", "_high")] == [share.value, *share.ci]
    assert row["specificity_answer_circle"] == "" == error["sensitivity_answer_normal"]
    (row,) = (r for r in (first, second, error) if r["dataset"] == "phantom")
    assert float(row["specificity_answer_circle"]) == samples.healthy().specificity["answer"]["circle"].value


def test_junit_has_a_property_for_each_class_and_bound():
    properties = dict(found(samples.connector_fail()))
    share = samples.connector_fail().specificity["vision"]["normal"]
    assert properties["specificity.vision.normal"] == f"{share.value:.4f}"
    assert properties["specificity.vision.normal.low"] == f"{share.ci[0]:.4f}"
    assert "sensitivity.answer.pneumonia.high" in properties


def test_the_page_shows_classes_and_what_was_accepted(tmp_path):
    report = samples.report(samples.connector_fail())
    write_pages(report, tmp_path, [None], [])
    html = next(tmp_path.glob("*/index.html")).read_text("utf-8")
    assert "<h2>Sensitivity and specificity of each class</h2>" in html
    assert "sensitivity for pneumonia</th>" in html
    assert ">accepted</th>" in html
