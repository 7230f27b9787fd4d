"""Scores in every output."""

from __future__ import annotations

import csv
import io

import pytest

from medprobe.diagnostics.records.scores import Measured, PredictiveValues
from medprobe.plugins.report.entries import ReportEntry, lineage
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.table import csv_text, rows_of
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.report.pictures.scores import ranking_svg, ranking_text, reliability_svg, reliability_text
from medprobe.plugins.report.sections.scores import score_facts
from medprobe.plugins.run.properties import found
from tests.unit.plugins.report import samples


def test_the_terminal_has_areas_operating_point_and_predictive_values_where_more_is_asked_for():
    told = " ".join(" ".join(summary_lines(samples.report(samples.connector_fail()), 80, 1)).split())
    assert "AUROC: reference 0.960 (0.929 to 0.988); vision " in told
    assert (
        "operating point of pneumonia, sensitivity 95.0%: sensitivity 94.7% (91.6 to 97.5), specificity 41.2%" in told
    )
    assert "Where 1.0% of the images are pneumonia: as said PPV 12.0%" in told
    assert "AUROC" not in " ".join(summary_lines(samples.report(samples.healthy())))


def test_the_table_for_programs_has_a_column_for_each_measure():
    entries = [ReportEntry(samples.healthy()), ReportEntry(samples.connector_fail()), ReportEntry(samples.failed())]
    rows = list(csv.DictReader(io.StringIO(csv_text(rows_of(entries, lineage(entries))))))
    (row,) = (r for r in rows if r["dataset"] == "chest-xray")
    macro = samples.connector_fail().scores.auroc["answer"].macro
    assert [float(row[f"auroc{end}"]) for end in ("", "_low", "_high")] == [macro.value, *macro.ci]
    assert float(row["operating_point_specificity_pneumonia"]) == 0.412
    (row,) = (r for r in rows if r["dataset"] == "phantom")
    assert row["quadratic_kappa"] == "" == row["auroc_pneumonia"]
    (row,) = (r for r in rows if r["error"])
    assert row["auroc"] == ""


def test_junit_has_a_property_for_each_measure_that_has_a_value():
    properties = dict(found(samples.connector_fail()))
    macro = samples.connector_fail().scores.auroc["answer"].macro
    assert properties["auroc"] == f"{macro.value:.4f}"
    assert properties["auroc.low"] == f"{macro.ci[0]:.4f}"
    assert {"auroc.pneumonia", "brier", "ece.high", "operating_point.specificity.pneumonia"} <= set(properties)
    assert "quadratic_kappa" not in dict(found(samples.healthy()))


def test_frames_have_the_values_and_no_lists():
    pytest.importorskip("pandas", reason="tables need pandas")
    table = samples.report(samples.connector_fail(), samples.failed()).to_frame()
    macro = samples.connector_fail().scores.auroc["answer"].macro
    assert table.iloc[0]["scores.auroc.answer.macro.value"] == macro.value
    assert table.iloc[0]["scores.auroc.answer.macro.ci.low"] == macro.ci[0]
    assert not [name for name in table if "reliability" in name or "roc.normal" in name]


def test_the_page_has_pictures_in_words_too(tmp_path):
    write_pages(samples.report(samples.connector_fail()), tmp_path, [None], [])
    html = next(tmp_path.glob("*/index.html")).read_text("utf-8")
    assert "<h2>Ranking, thresholds and probabilities</h2>" in html
    assert ranking_text(samples.connector_fail()) in html
    assert reliability_text(samples.connector_fail()) in html
    assert "It advises and decides nothing." in html
    assert {path.name for path in tmp_path.glob("*/*.svg")} >= {"ranking.svg", "reliability.svg"}


def test_an_error_has_no_picture():
    assert ranking_svg(samples.failed()) is None
    assert reliability_svg(samples.failed()) is None
    assert ranking_text(samples.failed()) == reliability_text(samples.failed()) == ""


def test_what_was_not_computed_says_why_in_its_place():
    diagnosis = samples.connector_fail()
    at = diagnosis.scores.predictive_values["pneumonia"]
    none = PredictiveValues(
        ppv=Measured(reason="no image is read as the class"), npv=Measured(value=0.99, reason="why")
    )
    scores = diagnosis.scores.model_copy(
        update={"predictive_values": {"pneumonia": at.model_copy(update={"answer": none, "operating_point": None})}}
    )
    fact = score_facts(diagnosis.model_copy(update={"scores": scores}))[-1]
    assert "as said PPV not measured, since no image is read as the class, NPV 99.0% (why)." in fact
