"""However the work is shared out among processes, the report is the same and whole, and nothing is computed twice."""

from __future__ import annotations

import json

import jsonschema
import pytest

from medprobe.diagnostics.extraction import measurement
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.chain import FAILURE_MODES
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.shard import extract_part
from medprobe.diagnostics.store import Folder
from medprobe.fixtures.models.registry import resolve
from tests.places import SCHEMA as SCHEMA_FILE
from tests.runs.conftest import drawn
from tests.runs.scale.watching import equal

SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))
MODELS = ("phantom", "phantom-connector")
BOTH = ("--model", "phantom", "--model", "phantom-connector")


def test_one_process_loads_each_model_once_and_reads_each_image_once(alone):
    assert alone.loads() == dict.fromkeys(MODELS, 1)
    for model in MODELS:
        assert sorted(alone.extracted(model).values()) == [1] * 48


@pytest.mark.slow
def test_a_worker_killed_on_its_way_costs_its_check_alone(watched, alone):
    """Two workers under a scheduling that would part the checks of a model, one killed before its second shard."""
    run = watched(*BOTH, "-n", "2", "--dist", "load", "-v", KILL="phantom-connector")
    assert "replacing crashed worker" in run.run.out
    assert run.run.code == pytest.ExitCode.TESTS_FAILED
    jsonschema.validate(run.run.report, SCHEMA)
    assert run.run.report["verdict"] == alone.run.report["verdict"]
    for model in MODELS:
        assert equal(run, alone, model)
        assert len(run.extracted(model)) == 48
    assert run.loads() == {"phantom": 1, "phantom-connector": 2}
    assert set(run.extracted("phantom").values()) == {1}
    assert sorted(run.extracted("phantom-connector").values()) == [1] * 40 + [2] * 8, "the shard that was not written"
    assert len(run.run.outcomes()) == 2 * len(FAILURE_MODES)


def test_a_worker_killed_for_good_leaves_a_whole_report(watched):
    run = watched(*BOTH, "-n", "2", "--max-worker-restart", "0", "--maxprocesses", "1", KILL="phantom")
    assert run.run.code == pytest.ExitCode.TESTS_FAILED
    jsonschema.validate(run.run.report, SCHEMA)
    assert run.run.report["verdict"] is None
    assert {diagnosis["error"] for diagnosis in run.run.diagnoses.values()} == {
        "not measured: the process that should have done it stopped"
    }


@pytest.mark.slow
def test_parts_fill_the_store_and_the_run_without_them_judges(watched, alone, small, tmp_path, monkeypatch):
    other = drawn(tmp_path, "other", 12, 2, seed=6)
    first = watched("--dataset", other, "--shard", "1/3", "-n", "0", "-rs")
    assert first.run.code == 0, first.run.out
    assert first.loads() == {"phantom": 1}, "once for two data sets"
    assert (len(first.extracted("phantom")), len(first.extracted("phantom", "other"))) == (16, 8)
    assert not (first.run.report_dir / "report.json").exists()
    assert "shard 1/3 of phantom on small: 16 of 48 images are in the store" in first.run.out
    assert "[shard 1/3] a run without --shard judges phantom on small" in first.run.out
    monkeypatch.setattr(measurement, "SHARD", 8)
    asked = set(alone.extracted("phantom"))
    for part, n_held in ((2, 32), (3, 48)):
        settings = Settings(store=first.store, shard=(part, 3), batch_size=8)
        extract_part(ModelOnDemand(resolve("phantom"), settings), small, lambda *_: None)
        assert max(len(asked & Folder(first.store, path.name).images()) for path in first.store.iterdir()) == n_held
    whole = watched("-n", "0", store=first.store)
    assert not whole.extracted("phantom")
    assert equal(whole, alone, "phantom")
