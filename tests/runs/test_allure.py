"""What a run leaves for Allure, and what Allure makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from medprobe.diagnostics.records.chain import FAILURE_MODES, STAGES
from medprobe.plugins.allure.content import STORIES
from tests.runs.calling import medprobe

pytest.importorskip("allure_pytest")

CONNECTOR = "connector_fidelity_loss"
MODELS = ("phantom", "phantom-connector")
STATUS = {"pass": "passed", "fail": "failed", "inconclusive": "skipped"}


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text("utf-8")) for path in folder.glob(f"*-{kind}.json")]


def labels(result: dict[str, Any]) -> dict[str, str]:
    return {label["name"]: label["value"] for label in result["labels"]}


def values(result: dict[str, Any]) -> dict[str, str]:
    return {p["name"]: p["value"].strip("'") for p in result["parameters"] if p.get("mode") != "hidden"}


@pytest.fixture(scope="module")
def run(first, store, small, torn, tmp_path_factory):
    """Two phantoms on a set that is measured and one that is not, on two workers."""
    folder = tmp_path_factory.mktemp("allure")
    models = [argument for model in MODELS for argument in ("--model", model)]
    return medprobe(
        *(*models, "--dataset", small, "--dataset", torn, "--store", store, "-n", "2"),
        *("--alluredir", folder / "results"),
        report_dir=folder / "reports",
    )


@pytest.fixture(scope="module")
def folder(run):
    return run.report_dir.parent / "results"


@pytest.fixture(scope="module")
def results(folder):
    """By model, data set and failure mode."""
    found = read(folder, "result")
    return {(*values(r).values(), r["fullName"].partition("#test_")[2]): r for r in found}


def test_every_check_has_its_place_and_its_own_history(results):
    expected = {(m, d, mode) for m in MODELS for d in ("small", "torn") for mode in FAILURE_MODES.values()}
    assert set(results) == expected
    assert len({result["historyId"] for result in results.values()}) == len(expected)
    for (model, dataset, mode), result in results.items():
        place = labels(result)
        assert (place["epic"], place["feature"]) == ("medprobe", dataset)
        assert place["story"].lower() == mode.replace("_", " ")
        assert result["name"] == f"{model} on {dataset}: {place['story']}"
        assert "ModelSpec" not in json.dumps(result["parameters"]), "the record is not shown"


def test_every_link_is_a_step_of_the_status_of_its_verdict(results, run):
    for model in MODELS:
        verdicts = {mode: link["verdict"] for mode, link in run.diagnoses[model, "small"]["failure_modes"].items()}
        for mode, verdict in verdicts.items():
            result = results[model, "small", mode]
            assert result["status"] == STATUS[verdict]
            assert [step["status"] for step in result["steps"]] == [STATUS[v] for v in verdicts.values()]
            assert not any(step.get("statusDetails", {}).get("trace") for step in result["steps"])
    assert all("steps" not in result for (_, dataset, _), result in results.items() if dataset == "torn")


def test_curve_and_numbers_are_attached_once_and_shared(results, folder, run):
    assert Counter(path.suffix for path in folder.glob("*-attachment.*")) == {".svg": 2, ".json": 2}
    assert not any(result.get("attachments") for result in results.values())
    shared = {}
    for container in read(folder, "container"):
        for before in container["befores"]:
            if before.get("attachments"):
                sources = [folder / attachment["source"] for attachment in before["attachments"]]
                assert sources[0].read_text("utf-8").startswith("<?xml")
                numbers = json.loads(sources[1].read_text("utf-8"))
                shared[numbers["model"]] = (set(container["children"]), numbers["signal"])
    for model in MODELS:
        checks = {result["uuid"] for (m, d, _), result in results.items() if (m, d) == (model, "small")}
        assert shared[model] == (checks, run.diagnoses[model, "small"]["signal"])


def test_results_stay_small(folder):
    assert sum(path.stat().st_size for path in folder.iterdir()) < 200_000


def test_the_controller_says_what_was_run(folder, run):
    lines = dict(line.split("=", 1) for line in (folder / "environment.properties").read_text().splitlines())
    assert lines["models"] == "phantom; phantom-connector"
    assert lines["datasets"] == "small; torn"
    assert lines["device"] == "cpu, float32"
    assert lines["torch"] == run.report["suite"]["versions"]["torch"]
    assert (folder / "executor.json").exists() == any(
        k in os.environ for k in ("GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL")
    )
    assert json.loads((folder / "allurerc.json").read_text())["historyPath"] == str(
        folder.parent / "allure-history.jsonl"
    )


def test_works_without_allure(first, store, small, tmp_path):
    """Where its plugin is not there, nothing of Allure is looked for."""
    plain = medprobe(
        *("-p", "no:allure_pytest", "--model", "phantom-connector", "--dataset", small, "--store", store, "-v"),
        report_dir=tmp_path,
        python=("-X", "importtime"),
    )
    assert plain.code == first.code
    expected = {name: outcome for name, outcome in first.outcomes().items() if "[phantom-connector-" in name}
    assert plain.outcomes() == expected
    assert plain.imported().isdisjoint({"allure", "allure_pytest", "allure_commons"})


@pytest.fixture(scope="module")
def revisions(first, store, small, tmp_path_factory):
    """The results of one model at two revisions, in folders beside one history."""
    folder = tmp_path_factory.mktemp("revisions")
    for revision in ("one", "two"):
        run = medprobe(
            *("-p", "tests.runs.revised", "--model", "phantom-connector", "--dataset", small, "--store", store),
            *("--alluredir", folder / revision),
            report_dir=folder / "reports",
            python=("-X", "importtime"),
            REVISION=revision,
        )
        assert "allure" in run.imported()
        assert run.imported().isdisjoint({"torch", "transformers"}), "the report of stored readings loads no model"
    return [folder / "one", folder / "two"]


@pytest.mark.slow
def test_a_new_revision_is_shown_and_goes_on_with_the_history(revisions):
    shown = [{values(result)["revision"] for result in read(folder, "result")} for folder in revisions]
    assert shown == [{"one"}, {"two"}]
    one, two = ({result["historyId"] for result in read(folder, "result")} for folder in revisions)
    assert len(one) == 4
    assert one == two


@pytest.fixture(scope="module")
def allure():
    """Allure 3, as the variable ALLURE or the PATH says."""
    command = os.environ.get("ALLURE") or shutil.which("allure")
    if command is None:
        pytest.skip("the command `allure` (npm install allure) is neither in ALLURE nor on the PATH")
    version = subprocess.run([command, "--version"], capture_output=True, text=True).stdout.strip()
    if not version.startswith("3."):
        pytest.skip(f"Allure 3 is needed, and {command} is {version or 'none'}")

    def generate(results: Path, report: Path) -> Path:
        """The report in several files, which can be read back."""
        settings = json.loads((results / "allurerc.json").read_text("utf-8"))
        settings["plugins"]["awesome"]["options"]["singleFile"] = False
        config = report.with_suffix(".json")
        config.write_text(json.dumps(settings), "utf-8")
        arguments = ["generate", "--config", config, "--output", report, results]
        subprocess.run([command, *map(str, arguments)], check=True, capture_output=True, cwd=results.parent)
        return report

    return generate


def test_allure_counts_a_new_revision_as_the_same_tests(allure, revisions, tmp_path):
    reports = [allure(folder, tmp_path / folder.name) for folder in revisions]
    new = [json.loads((report / "summary.json").read_text("utf-8"))["stats"].get("new", 0) for report in reports]
    assert new == [4, 0]
    history = (revisions[0].parent / "allure-history.jsonl").read_text("utf-8").splitlines()
    assert len(history) == 2
    known = [set(json.loads(line)["testResults"]) for line in history]
    assert known[0] == known[1]
    assert len(known[0]) == 4


@pytest.fixture(scope="module")
def faulty(allure, tmp_path_factory):
    """The four faulty phantoms on 120 images of their own set: their results. Asked for only where Allure is."""
    folder = tmp_path_factory.mktemp("faulty")
    models = [argument for stage in STAGES for argument in ("--model", f"phantom-{stage}")]
    run = medprobe(
        *(*models, "--max-images", "120", "--store", folder / "store", "--alluredir", folder / "results"),
        report_dir=folder / "reports",
    )
    assert run.code == 1, run.out
    return folder / "results"


def test_each_fault_stands_in_its_own_category(allure, faulty, tmp_path):
    """Of the report as Allure made it: the phantom of a fault under its failure mode, alone there."""
    report = allure(faulty, tmp_path / "report")
    nodes = json.loads((report / "widgets" / "categories.json").read_text("utf-8"))["nodes"]
    held = {
        node["name"]: [nodes[child]["name"].partition(" on ")[0] for child in node["childrenIds"]]
        for node in nodes.values()
        if node["type"] == "category"
    }
    undecided = held.pop("inconclusive")
    assert held == {STORIES[FAILURE_MODES[stage]]: [f"phantom-{stage}"] for stage in STAGES}
    # Behind a module that lost all, nothing is left to lose.
    assert Counter(undecided) == {"phantom-vision": 3, "phantom-connector": 2, "phantom-llm": 1}


def test_allure_files_every_failure_under_its_category(allure, folder, tmp_path):
    report = allure(folder, tmp_path / "report")
    nodes = json.loads((report / "widgets" / "categories.json").read_text("utf-8"))["nodes"]
    totals = {node["name"]: node["statistic"]["total"] for node in nodes.values() if node["type"] == "category"}
    assert totals == {"connector fidelity loss": 1, "inconclusive": 2, "suite error": 8}
