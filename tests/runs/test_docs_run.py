"""The commands of README and docs that cost seconds, run as they are printed but for the words in `instead`.

Run are: a diagnosis of a phantom, alone, with remedies, with lesions hidden and with modules swapped, saving a baseline
and both ways to compare with it, the plans, the lists, the store, `compare`, `rejudge` and `report`.
`docs/guides/project.md`, the Allure commands and `diagnose-pair` are run by their own tests. What needs weights or data
from elsewhere, retrains, benchmarks or installs is only parsed, in `tests/promises/test_docs.py`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.promises.test_docs import commands
from tests.runs.calling import SETTLED


@dataclass(frozen=True)
class Step:
    """A command by its page and start. `instead` replaces words and the variables of a shell; `more` is added; `says`
    is in what it prints, `leaves` the files it writes. All paths are in the scratch folder."""

    page: str
    start: str
    code: int
    says: str
    instead: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


DIAGNOSE = ("--dataset", "small.toml", "--store", "state/features", "--report-dir")
HERE = {"--dataset busi ": "", "--data-root /data/medical": "--data-root .", "--data-root /data ": "--data-root . "}
SHELL = {"$MODEL": "phantom-connector", "$DATASET": "small.toml", "$STATE": "state"}
QUICK = (
    Step("README.md", ".venv/bin/pytest --model ./release-1", 0, "baseline.json", {"./release-1": "phantom"},
         (*DIAGNOSE, "a"), ("baseline.json", "a/report.json", "a/index.html")),
    Step("README.md", ".venv/bin/pytest --model ./release-2", 1, "regressed", {"./release-2": "phantom-connector"},
         (*DIAGNOSE, "b", "--save-baseline", "new.json"), ("b/report.json",)),
    Step("README.md", "medprobe compare", 1, "regressed", {"old.json": "baseline.json"}),
    Step("README.md", "medprobe report", 0, "comparison", {}, (), ("comparison/comparison.html",)),
    Step("docs/guides/store.md", "medprobe cache list", 0, "phantom-connector", {}, ("--store", "state/features")),
    Step("docs/guides/store.md", "medprobe cache verify", 0, "", {}, ("--store", "state/features")),
    Step("README.md", "pytest --list-models", 0, "medgemma"),
    Step("docs/guides/project.md", "medprobe list", 0, "phantom-connector"),
    Step("docs/guides/project.md", "medprobe --help", 0, "--include-images"),
    Step("docs/guides/plan.md", "pytest --plan h100 --model medgemma --dataset busi", 0, "medgemma"),
    Step("docs/guides/plan.md", "pytest --plan h100 --model medvlm-r1", 0, "hulu-med-32b"),
)  # fmt: skip
LONG = (
    Step("docs/guides/reading.md", "pytest --model phantom-connector", 1, "phantom-connector on small: FAIL", {},
         (*DIAGNOSE, "reports"), ("reports/phantom-connector-small/index.html",)),
    Step("docs/guides/ci.md", 'pytest --model "$MODEL" --dataset "$DATASET" --store "$STATE/features" --save', 1,
         "baseline: ", SHELL, ("--report-dir", "c"), ("state/baseline/release.json",)),
    Step("docs/guides/ci.md", 'pytest --model "$MODEL" --dataset "$DATASET" --store "$STATE/features" --baseline', 1,
         "not regressed", SHELL, (), ("reports/junit.xml",)),
    Step("README.md", ".venv/bin/pytest --model ./tuned --against", 1, "cause: connector",
         {"./tuned": "phantom-connector", "./base": "phantom", **HERE}, (*DIAGNOSE, "d"), ("d/report.json",)),
    Step("docs/guides/treatments.md", ".venv/bin/pytest --model ./checkpoint", 0, "treatment: ",
         {"./checkpoint": "phantom", **HERE}, (*DIAGNOSE, "e"), ("e/report.json",)),
    Step("docs/guides/grounding.md", ".venv/bin/pytest --model ./checkpoint", 0, "grounding: ",
         {"./checkpoint": "phantom", **HERE}, (*DIAGNOSE, "f"), ("f/report.json",)),
    Step("docs/guides/reading.md", "medprobe rejudge", 0, "phantom-connector on small: fail, repeated"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small: Path, store: Path) -> Path:
    """A scratch folder with the small data set, and the features that other tests have of it."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "state").mkdir()
    (folder / "state" / "features").symlink_to(store)
    text = small.read_text("utf-8")
    (folder / "small.toml").write_text(text, "utf-8")
    for entry in small.parent.iterdir():
        if entry.is_dir():
            (folder / entry.name).symlink_to(entry)
    return folder


def words(step: Step, command: str) -> list[str]:
    """The command as a process, by `medprobe`, which is pytest on the suite from another folder than its own."""
    for old, new in step.instead.items():
        command = command.replace(old, new)
    program, *given = shlex.split(command, comments=True)
    assert Path(program).name in ("pytest", "medprobe")
    return [sys.executable, "-m", "medprobe", *given, *step.more]


@pytest.mark.parametrize("steps", [QUICK, pytest.param(LONG, marks=pytest.mark.slow)], ids=["quick", "long"])
def test_cheap_commands_do_what_the_pages_say(folder: Path, steps: Sequence[Step]) -> None:
    clean = {name: value for name, value in os.environ.items() if not SETTLED.match(name)}
    for step in steps:
        (command,) = {c for c in commands(step.page) if " ".join(c.split()).startswith(step.start)}

        done = subprocess.run(
            words(step, command),
            cwd=folder,
            env={**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == step.code, (command, done.stdout[-3000:], done.stderr[-1000:])
        assert step.says in done.stdout, (command, done.stdout[-3000:])
        assert all((folder / path).is_file() for path in step.leaves), command
