"""What a CI service shows: a badge always; a job summary and annotations where GitHub runs the job."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from medprobe.diagnostics.baselines.outcome import COMPARED, brief_outcome, gate_sentence
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import Call
from medprobe.plugins.options import CALL
from medprobe.plugins.project import CONFIG
from medprobe.plugins.report.outputs.markdown import LIMIT, job_summary
from medprobe.plugins.report.outputs.terminal import diagnosis_lines
from medprobe.plugins.report.sections.subgroups import absolute_checks
from medprobe.plugins.run.reporting import REPORT

COLOURS = {"pass": "brightgreen", "fail": "red", "inconclusive": "yellow", None: "lightgrey"}
LONGEST = 4000
"""Characters of an annotation; the runner cuts longer ones."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    write_text(config.stash[CALL].report_dir / "badge.json", badge(report))
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            append_summary(report, Path(path))
        except OSError as error:
            config.issue_config_time_warning(
                pytest.PytestWarning(f"the job summary cannot be written to {path}: {error.strerror}"), stacklevel=1
            )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash.get(REPORT, None)
    if report is not None and os.environ.get("GITHUB_ACTIONS"):
        for line in commands(report, config.stash[CALL]):
            terminalreporter.write_line(line)


def badge(report: Report) -> str:
    """JSON of a shields.io endpoint badge (https://shields.io/badges/endpoint-badge)."""
    # One check or more is red then, whatever the diagnosis says.
    message, colour = brief_outcome(report), COLOURS[report.verdict]
    if report.outdated:
        message, colour = f"{message}; an accepted failure passes: remove it from {CONFIG}", COLOURS["fail"]
    whole = {"schemaVersion": 1, "label": "medprobe", "message": message, "color": colour}
    return json.dumps(whole) + "\n"


def append_summary(report: Report, path: Path) -> None:
    """Add the job summary to what the step has already written, within GitHub's limit for both."""
    before = path.stat().st_size if path.exists() else 0
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(job_summary(report, LIMIT - before))


def commands(report: Report, call: Call) -> list[str]:
    """One workflow command a diagnosis that the gate does not pass, errors first: GitHub shows ten of each level."""
    levels = {index: _level(diagnosis, call) for index, diagnosis in enumerate(report.diagnoses)}
    found = [
        _command(level, report.diagnoses[index], report)
        for wanted in ("error", "warning")
        for index, level in levels.items()
        if level == wanted
    ]
    return [_line("error", "medprobe: an accepted failure passes", text) for text in report.outdated] + found


def _level(diagnosis: Diagnosis, call: Call) -> str | None:
    """`error` where the run is red for it, `warning` where it is undecided or accepted, None where it passes."""
    if diagnosis.error is not None:
        return "error"
    judged = absolute_checks(diagnosis) if call.gate in ("absolute", "both") else []
    red = [
        verdict == "fail" or call.fail_inconclusive
        for mode, verdict in judged
        if verdict != "pass" and call.accepts(diagnosis.model, diagnosis.dataset, mode) is None
    ]
    compared = "pass" if diagnosis.regression is None else COMPARED[diagnosis.regression.verdict]
    red.append(compared == "fail" or (compared == "inconclusive" and call.fail_inconclusive))
    required = [criterion.verdict for criterion in diagnosis.least]
    red += [verdict == "fail" or call.fail_inconclusive for verdict in required if verdict != "pass"]
    if any(red):
        return "error"
    return "warning" if {compared, *required, *(verdict for _, verdict in judged)} != {"pass"} else None


def _command(level: str, diagnosis: Diagnosis, report: Report) -> str:
    """What the gates say comes first, then the summary of the diagnosis."""
    told = gate_sentence(diagnosis, report.gate)
    text = "\n".join([*([one_line(told)] if told else []), *diagnosis_lines(diagnosis, LONGEST)])
    return _line(level, f"medprobe: {diagnosis.model} on {diagnosis.dataset}", text)


def _line(level: str, title: str, text: str) -> str:
    """A workflow command of GitHub Actions; its text stays one line and one field whatever it holds."""
    return f"::{level} title={escape_property(one_line(title)[:200])}::{escape_data(text[:LONGEST])}"


def escape_data(text: str) -> str:
    """As `@actions/core` does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    return escape_data(text).replace(":", "%3A").replace(",", "%2C")
