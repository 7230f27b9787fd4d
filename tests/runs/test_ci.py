"""docs/guides/ci.md does what it says: YAML parses, options exist, shell runs, the table names what is written."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from medprobe.diagnostics.thresholds import load_thresholds
from medprobe.plugins.project import Config
from tests.places import GUIDES, ROOT
from tests.runs.calling import SETTLED, Run, medprobe

TEXT = (GUIDES / "ci.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


WORKFLOW, GITLAB = (yaml.safe_load(text) for text in blocks("yaml"))
(JENKINS,) = blocks("groovy")
SHELL = blocks("sh")
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["diagnose"]["steps"]
JENKINS_RUNS: list[str] = re.findall(r"'''(.+?)'''", JENKINS, re.DOTALL)
RUNS: list[str] = [
    *SHELL,
    *(step.get("run", "") for step in STEPS),
    *GITLAB["diagnose"]["script"],
    *JENKINS_RUNS,
]
CALLS = [shlex.split(text.replace("\\\n", " ")) for text in RUNS]
DIAGNOSES = [words for words in CALLS if words and Path(words[0]).name == "pytest"]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    text = medprobe("--help", report_dir=tmp_path_factory.mktemp("help")).out
    return set(re.findall(r"(?<![\w-])--[a-z][\w-]+", text))


def test_every_option_exists(known: set[str]) -> None:
    assert len(DIAGNOSES) == 6
    for words in DIAGNOSES:
        asked = {word for word in words if word.startswith("--")}
        assert "--model" in asked
        assert asked <= known, asked - known
    in_text = set(re.findall(r"`(--[a-z][\w-]+)", TEXT))
    assert in_text <= known, in_text - known


def test_the_workflow_either_saves_or_compares() -> None:
    # YAML 1.1 reads the bare word `on` as true.
    assert set(WORKFLOW) == {"name", True, "concurrency", "permissions", "env", "jobs"}
    saving, comparing = (next(s for s in STEPS if f"--{o}" in s.get("run", "")) for o in ("save-baseline", "baseline "))
    assert comparing["if"] == "${{ !" + saving["if"] + " }}"
    assert saving["if"] == "inputs.release"
    assert saving["if"].partition(".")[2] in WORKFLOW[True]["workflow_dispatch"]["inputs"]
    assert {word for call in DIAGNOSES for word in call if "$" in word} <= {
        *("$MODEL", "$DATASET", "$STATE/features", "$STATE/baseline", "$STATE/baseline/release.json")
    }
    (upload,) = (s for s in STEPS if s.get("uses", "").startswith("actions/upload-artifact@"))
    assert upload["if"] == "always()"
    assert (
        upload["with"]["path"] == shlex.split(comparing["run"])[shlex.split(comparing["run"]).index("--report-dir") + 1]
    )


def test_every_service_runs_the_same_gate_and_tells_a_fault_from_a_broken_machine() -> None:
    github, gitlab, jenkins = (words for words in DIAGNOSES if "--error-code" in words)
    assert github == gitlab == jenkins
    code = int(github[github.index("--error-code") + 1])
    job = GITLAB["diagnose"]
    assert job["retry"]["exit_codes"] == [code]
    junit = github[github.index("--junit-xml") + 1]
    assert job["artifacts"]["reports"]["junit"] == junit
    assert junit.startswith(f"{job['artifacts']['paths'][0]}/")
    assert {**job["variables"]} == WORKFLOW["env"]
    assert dict(re.findall(r"(\w+) = '(.+)'", JENKINS)) == WORKFLOW["env"]
    assert f"if (code == {code})" in JENKINS
    assert JENKINS.count("{") == JENKINS.count("}")


def test_what_is_required_is_read(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(blocks("toml")[1], "utf-8")
    assert load_thresholds(path).least_of("any", "any", ["normal", "malignant"]) == {
        "auroc": 0.85,
        "sensitivity.malignant": 0.9,
        "specificity.normal": 0.7,
        "specificity.malignant": 0.7,
    }


def test_the_accepted_failure_is_one() -> None:
    *_, text = blocks("toml")
    (entry,) = Config.model_validate(tomllib.loads(text)).accepted
    assert entry.mode == "visual_representation_quality"


def test_the_margins_of_a_class_are_those_built_in_and_an_override(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(blocks("toml")[0], "utf-8")
    written, built_in = (load_thresholds(given).margins("any", "any") for given in (path, None))
    assert (written.sensitivity, written.specificity) == (built_in.sensitivity, built_in.specificity)
    assert not written.is_built_in("sensitivity", "malignant")
    assert load_thresholds(path).margins("checkpoint", "busi").of("sensitivity", "malignant") == 0.03


def shell(text: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not SETTLED.match(name)}
    home = shlex.join(["-c", str(ROOT / "pyproject.toml"), str(ROOT / "diagnostics")])
    return subprocess.run(
        ["sh", "-eu", "-c", f'pytest() {{ {shlex.quote(sys.executable)} -m pytest {home} "$@"; }}\n{text}'],
        cwd=folder,
        env={**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.usefixtures("first")
def test_the_shell_gates_a_checkpoint(store: Path, small: Path, tmp_path: Path) -> None:
    release, checkpoint = SHELL
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "features").symlink_to(store)
    asked = {"MODEL": "phantom", "DATASET": str(small), "STATE": str(tmp_path / "state")}
    saved = shell(release, tmp_path, **asked)
    assert saved.returncode == 0, saved.stdout + saved.stderr
    assert (tmp_path / "state" / "baseline" / "release.json").is_file()
    gated = shell(checkpoint, tmp_path, **asked)
    report = json.loads((tmp_path / "reports" / "report.json").read_text("utf-8"))
    (diagnosis,) = report["diagnoses"]
    assert diagnosis["regression"]["verdict"] == "not_regressed"
    assert gated.returncode == (0 if report["verdict"] == "pass" else 1), gated.stdout
    cases = list(ElementTree.parse(tmp_path / "reports" / "junit.xml").iter("testcase"))
    assert len(cases) == 5
    scores = (ROOT / "docs" / "reference" / "scores.md").read_text("utf-8")
    for name in {p.get("name") for case in cases for p in case.iter("property")}:
        measure = re.sub(r"\.(normal|benign|malignant)$", ".<class>", re.sub(r"\.(low|high)$", "", name))
        by_name = name.startswith(("signal.", "sensitivity.", "specificity.")) or measure in scores.split()
        assert by_name or f"`{name}`" in TEXT, name


@pytest.mark.usefixtures("first")
def test_where_github_runs_it_a_summary_and_an_annotation_are_left(store: Path, small: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    run: Run = medprobe(
        *("--model", "phantom", "--model", "phantom-connector", "--dataset", small, "--store", store),
        report_dir=tmp_path / "reports",
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert run.code == 1
    text = summary.read_text("utf-8")
    assert text.startswith("### medprobe verdict&#58; fail")
    assert text.count("small |") == 2
    commands = [line for line in run.out.splitlines() if line.startswith("::")]
    assert any(line.startswith("::error title=medprobe%3A phantom-connector on small::") for line in commands)
    assert "\x1b" not in run.out, "colours only on a terminal"
    badge = json.loads((run.report_dir / "badge.json").read_text("utf-8"))
    assert (badge["message"], badge["color"]) == ("fail", "red")


@pytest.mark.usefixtures("first")
def test_elsewhere_there_are_no_commands_and_a_summary_that_cannot_be_written_is_a_warning(
    store: Path, small: Path, tmp_path: Path
) -> None:
    run = medprobe(
        *("--dataset", small, "--store", store),
        report_dir=tmp_path / "reports",
        GITHUB_STEP_SUMMARY=str(tmp_path / "nowhere" / "summary.md"),
    )
    assert run.code == 0
    assert not [line for line in run.out.splitlines() if line.startswith("::")]
    assert "the job summary cannot be written to" in run.out
