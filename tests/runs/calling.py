"""The suite as its users call it: a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.places import ROOT

SETTLED = re.compile(r"^(PYTEST_|MEDPROBE_|COV_|GITHUB_)")
"""Variables of the outer run that would change the inner one."""

HEAVY = ("torch", "timm", "transformers", "sklearn", "scipy", "statsmodels")


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str
    report_dir: Path

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.report_dir / "report.json").read_text("utf-8"))

    @property
    def diagnoses(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By model and data set."""
        return {(d["model"], d["dataset"]): d for d in self.report["diagnoses"]}

    def outcomes(self) -> dict[str, str]:
        """Outcome by test name, of a run with -v."""
        forward = re.findall(r"::(test_\S+\]) ([A-Z]+)", self.out)
        by_worker = re.findall(r"([A-Z]+) \S+::(test_\S+\])", self.out)
        return dict([*forward, *((n, o) for o, n in by_worker)])

    def imported(self) -> set[str]:
        """Top-level packages imported, of a run under `-X importtime`."""
        return {name.split(".")[0] for name in re.findall(r"import time:.*\|\s+(\S+)$", self.err, re.MULTILINE)}


def medprobe(
    *arguments: str | Path,
    report_dir: Path,
    python: tuple[str, ...] = (),
    program: str = "pytest",
    cwd: Path = ROOT,
    **variables: str,
) -> Run:
    """`python -m pytest` with `arguments`, on one thread so that 2 processes give the figures of 1."""
    clean = {name: value for name, value in os.environ.items() if not SETTLED.match(name)}
    done = subprocess.run(
        [sys.executable, *python, "-m", program, *map(str, arguments), "--report-dir", str(report_dir)],
        cwd=cwd,
        env={**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=500,
    )
    return Run(done.returncode, done.stdout, done.stderr, report_dir)
