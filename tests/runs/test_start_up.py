"""Start-up, collection and what reads from the store stay light."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest

from medprobe.fixtures.phantoms import phantom_path
from tests.runs.calling import HEAVY, medprobe

IMPORTS = ("-X", "importtime")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--collect-only", "--model", "phantom"),
        ("--collect-only", "--reference", "cnn"),
        ("--list-models",),
        ("--help",),
    ],
)
def test_nothing_heavy_is_imported_at_start(arguments, tmp_path):
    light = medprobe(*arguments, report_dir=tmp_path, python=IMPORTS)
    assert light.code == 0
    assert "pydantic" in light.imported()
    assert light.imported().isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [("--help",), ("list",), ("compare", "--help"), ("--collect-only",)])
def test_the_command_imports_nothing_heavy(arguments, tmp_path):
    light = medprobe(*arguments, report_dir=tmp_path, python=IMPORTS, program="medprobe", cwd=tmp_path)
    assert light.code == 0
    assert "pydantic" in light.imported()
    assert light.imported().isdisjoint(HEAVY)


@pytest.mark.parametrize("arguments", [("--collect-only", "--model", "phantom"), ("--list-models",)])
def test_start_is_quick(arguments, tmp_path):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert medprobe(*arguments, report_dir=tmp_path).code == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 4


def test_a_second_run_loads_no_model(first, store, small, tmp_path):
    again = medprobe(
        *("--model", "phantom", "--model", "phantom-connector", "--dataset", small, "--store", store),
        report_dir=tmp_path,
        python=IMPORTS,
    )
    assert again.code == first.code
    assert again.imported().isdisjoint(HEAVY)
    assert without_circumstances(again.report) == without_circumstances(first.report)


def without_circumstances(report: dict) -> dict:
    """A report without what may differ between equal runs."""
    suite = {name: value for name, value in report["suite"].items() if name != "command"}
    return {**report, "suite": suite, "diagnoses": [{**d, "timing": None} for d in report["diagnoses"]]}


@pytest.mark.slow
def test_works_without_xdist(first, store, small, tmp_path):
    alone = medprobe("-p", "no:xdist", "--dataset", small, "--store", store, report_dir=tmp_path)
    assert alone.code == 0, alone.out + alone.err
    assert alone.diagnoses["phantom", "small"]["verdict"] == first.diagnoses["phantom", "small"]["verdict"]


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_paths_with_a_space_outside_the_project(workers, first, store, small, tmp_path):
    root = tmp_path / "data root"
    shutil.copytree(small.parent, root / "small")
    shutil.copytree(phantom_path(), tmp_path / "my model")
    away = medprobe(
        *("--model", tmp_path / "my model", "--dataset", root / "small" / small.name, "--data-root", root),
        *("--store", store, "-n", workers, "-v"),
        report_dir=tmp_path / "my reports",
    )
    assert away.code == 0, away.out + away.err
    assert Path(away.report_dir / "index.html").is_file()
    assert away.report["suite"]["command"].startswith("python -m pytest --model ")
    diagnosis = away.diagnoses["my model", "small"]
    assert diagnosis["signal"] == first.diagnoses["phantom", "small"]["signal"]


@pytest.mark.slow
def test_every_worker_has_whole_models(first, small, tmp_path):
    """Two workers, a store of their own: the same report, and no model on both."""
    two = medprobe(
        *("--model", "phantom", "--model", "phantom-connector", "--dataset", small, "--store", tmp_path / "store"),
        *("-n", "2", "-v"),
        report_dir=tmp_path / "reports",
    )
    assert two.code == first.code, two.out + two.err
    assert without_circumstances(two.report) == without_circumstances(first.report)
    workers: dict[str, set[str]] = {}
    for line in map(str.strip, two.out.splitlines()):
        if line.startswith("[gw") and line.endswith("]"):
            workers.setdefault(line.rpartition("[")[2], set()).add(line.partition("]")[0])
    assert {model: len(used) for model, used in workers.items()} == {"phantom-small]": 1, "phantom-connector-small]": 1}
