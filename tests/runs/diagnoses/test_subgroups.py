"""A diagnosis of a data set with attributes: its check, its record, its pages, and what they keep to themselves."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from medprobe.diagnostics.rejudge import repeated
from medprobe.fixtures.phantoms.images import draw_dataset
from tests.runs.calling import Run, medprobe

CHECK = "test_subgroups[phantom-marked]"


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    manifest = draw_dataset(tmp_path_factory.mktemp("marked") / "set", 120, 1, seed=6, agreement=0.34)
    manifest.write_text(manifest.read_text("utf-8").replace('name = "phantom"', 'name = "marked"', 1), "utf-8")
    return manifest


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, marked: Path) -> Run:
    folder = tmp_path_factory.mktemp("subgroups")
    junit = ("--junit-xml", folder / "junit.xml")
    return medprobe("--dataset", marked, "--store", folder / "store", "-v", *junit, report_dir=folder / "reports")


def test_the_strata_are_a_check_of_their_own(run: Run) -> None:
    assert CHECK in run.outcomes()
    found = run.diagnoses["phantom", "marked"]["attributes"]
    assert [one["name"] for one in found["each"]] == ["scanner", "sex", "age"]
    assert {value for one in found["each"] for s in one["strata"] for value in s["signal"]} <= {
        *("reference", "vision", "connector", "llm", "answer")
    }
    wanted = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "SKIPPED"}[found["verdict"]]
    assert run.outcomes()[CHECK] == wanted


def test_a_mark_is_readable_at_every_exit_and_age_is_not(run: Run) -> None:
    probes = {one["name"]: one["probes"] for one in run.diagnoses["phantom", "marked"]["attributes"]["each"]}
    assert probes["scanner"]["vision"]["value"] > 0.6
    assert probes["age"]["llm"]["ci"][0] < 0.1


def test_every_output_names_strata(run: Run) -> None:
    assert "strata: " in run.out
    page = next(run.report_dir.glob("*/index.html")).read_text("utf-8")
    assert "<h2>Strata</h2>" in page
    assert 'name="subgroups"' in (run.report_dir.parent / "junit.xml").read_text("utf-8")


def test_no_age_and_no_small_cell_leaves_the_data_set(run: Run, marked: Path) -> None:
    rows = list(csv.DictReader((marked.parent / "images" / "patients.csv").read_text("utf-8").splitlines()))
    assert len({row["age"] for row in rows}) > 40
    found = run.diagnoses["phantom", "marked"]["attributes"]
    strata = [s for one in found["each"] if one["name"] == "age" for s in one["strata"]]
    assert all(re.fullmatch(r"\d0-\d9|90\+|other", s["value"]) for s in strata)
    assert all(s["n_groups"] >= 10 for one in found["each"] for s in one["strata"])
    saved = json.loads(next(run.report_dir.glob("*/predictions.json")).read_text("utf-8"))
    assert all(re.fullmatch(r"\d0-\d9|90\+|other", value) for value in saved["strata"]["age"]["values"])


def test_the_strata_are_repeated_from_the_predictions(run: Run) -> None:
    equal, said = repeated(run.report_dir)
    assert equal, said
