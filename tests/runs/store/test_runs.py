"""Whole runs on one store: side by side, killed and started again, and on a disk that fills."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import kills
from medprobe.fixtures.phantoms.images import draw_dataset
from tests.places import ROOT


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images: three shards."""
    return draw_dataset(tmp_path_factory.mktemp("data"), 24, 2, 5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> Path:
    """Where two runs at once shared a store."""
    folder = tmp_path_factory.mktemp("two")
    runs = [kills.start(folder, manifest, reports=name) for name in ("reports", "other")]
    said = [run.communicate()[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    return folder


@pytest.mark.slow
def test_two_runs_at_once_compute_every_shard_once(place: Path) -> None:
    n_shards, twice = kills.shards(place)
    assert n_shards >= 3
    assert twice == 0
    assert kills.results(place) == kills.results(place, "other")
    assert not kills.left(place)
    assert not kills.held_locks(place / "store")


def test_another_threshold_extracts_nothing(place: Path, manifest: Path, tmp_path: Path) -> None:
    before = (place / kills.TRACE).read_text()
    (tmp_path / "strict.toml").write_text("[retention]\nllm = 0.99\n")
    run = kills.start(place, manifest, "--thresholds", str(tmp_path / "strict.toml"), reports="strict")
    run.communicate()
    diagnosis = kills.results(place, "strict")["report"]["diagnoses"][0]
    assert diagnosis["failure_modes"]["llm_comprehension_deficit"]["threshold"] == 0.99
    assert (place / kills.TRACE).read_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("way", kills.SIGNALS)
def test_a_killed_run_leaves_nothing_to_be_seen(
    place: Path, manifest: Path, tmp_path: Path, way: Any, record_property: Any
) -> None:
    moment = random.uniform(1, 8)
    record_property("killed_after", moment)
    run = kills.disturbed(tmp_path / "killed", manifest, way, moment, kills.results(place))
    assert kills.sound(run), run


def test_a_full_disk_is_one_sentence_and_keeps_the_rest(manifest: Path, tmp_path: Path) -> None:
    """A limit on the size of a file stands for the disk: no shard fits."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--model", "phantom", "--dataset", str(manifest), "-q"),
            *("--store", str(tmp_path / "store"), "--report-dir", str(tmp_path / "reports")),
        ],
        cwd=ROOT,
        preexec_fn=limited,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    error = json.loads((tmp_path / "reports" / "report.json").read_text("utf-8"))["diagnoses"][0]["error"]
    assert "cannot be written" in error
    assert "what is finished is kept" in error
    assert "Traceback" not in run.stdout + run.stderr
    assert not kills.left(tmp_path / "store")
