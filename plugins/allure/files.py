"""The files beside the results: how the report is made, what was run, and where."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medprobe.diagnostics.outside_text import masked
from medprobe.diagnostics.records.report import Report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.allure.content import STORIES
from medprobe.plugins.call import Call

HISTORY = "allure-history.jsonl"
CATEGORIES: list[dict[str, Any]] = [
    {"name": name, "matchers": matchers, "groupByMessage": name == "suite error", "expand": True}
    for name, matchers in (
        (
            "inconclusive",
            [
                {"statuses": ["skipped"], "message": r"^Skipped: \[inconclusive\]"},
                {"statuses": ["failed"], "message": r"^AssertionError: \[\w+\] \[inconclusive\]"},
            ],
        ),
        *(
            (name, [{"statuses": ["failed"], "message": rf"^AssertionError: \[{check}\]"}])
            for check, name in STORIES.items()
        ),
        ("least required", [{"statuses": ["failed"], "message": r"^AssertionError: \[least_\w+\]"}]),
        ("accepted failure", [{"statuses": ["skipped"], "message": "^XFAIL"}]),
        # A strict xfail that passes is the one failure without a message.
        ("accepted failure that passes", [{"statuses": ["failed"], "message": "^$"}]),
        ("suite error", [{"statuses": ["failed", "broken"]}]),
    )
]
"""The first that matches holds a test; a message is matched as allure-pytest writes it. Messages name their model, so
that only errors of the suite are the same for several tests."""

HIDDEN = ["parentSuite", "suite", "host", "thread", "framework", "language", "package"]
PAGE: dict[str, Any] = {
    "groupBy": ["epic", "feature", "story"],
    "singleFile": True,
    "stepTreeExpansion": "expanded",
    "sections": ["charts"],
    "charts": [{"type": kind} for kind in ("currentStatus", "statusDynamics", "statusTransitions")],
}
"""One file that opens without a server; steps and attachments unfolded; no charts of what the suite has not."""

EXECUTORS = (
    (
        "GITHUB_ACTIONS",
        "GitHub Actions",
        "github",
        "GITHUB_WORKFLOW",
        "GITHUB_RUN_NUMBER",
        "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    ),
    ("GITLAB_CI", "GitLab CI", "gitlab", "CI_JOB_NAME", "CI_PIPELINE_IID", "{CI_JOB_URL}"),
    ("JENKINS_URL", "Jenkins", "jenkins", "JOB_NAME", "BUILD_NUMBER", "{BUILD_URL}"),
)
"""The variable that tells a CI, its name and kind, and where it keeps the job, its number and its page."""


def write(folder: Path, call: Call, report: Report | None, working: Path) -> None:
    write_text(folder / "allurerc.json", json.dumps(settings(folder, working), indent=2) + "\n")
    write_text(folder / "environment.properties", properties(environment(call, report)))
    if (found := executor(os.environ)) is not None:
        write_text(folder / "executor.json", json.dumps(found, indent=2) + "\n")


def settings(folder: Path, working: Path) -> dict[str, Any]:
    """Of Allure 3, which reads no `categories.json`.

    The history lies beside the results, since `--clean-alluredir` empties their folder. Allure looks for it from the
    folder it is called in, so it is named from `working`, the folder the suite was called in, and no machine is in it.
    """
    history = folder.parent / HISTORY
    return {
        "name": "medprobe",
        "historyPath": str(history.relative_to(working) if history.is_relative_to(working) else history),
        "categories": CATEGORIES,
        "hideLabels": HIDDEN,
        "plugins": {"awesome": {"options": PAGE}},
    }


def environment(call: Call, report: Report | None) -> dict[str, str]:
    """What was asked for, and of what was measured the revisions, devices and versions."""
    diagnoses = [] if report is None else report.diagnoses
    revisions = {d.model: d.revision for d in diagnoses}
    models = {pair.model.name: revisions.get(pair.model.name, pair.model.revision) for pair in call.pairs}
    versions = {} if report is None else report.suite["versions"]
    return {
        "models": _joined(name if revision is None else f"{name}@{revision}" for name, revision in models.items()),
        "datasets": _joined(pair.dataset.name for pair in call.pairs),
        "device": _joined(f"{d.settings['device']}, {d.settings['dtype']}" for d in diagnoses if d.settings),
        "probe": call.settings.probe,
        "reference": call.settings.reference,
        "seed": str(call.settings.seed),
        **({} if report is None else {"python": report.suite["python"]}),
        **{name: version for name, version in versions.items() if version is not None},
    }


def _joined(names: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(names))


def properties(table: Mapping[str, str]) -> str:
    """Java properties; a line break or a backslash in a value does not start a new entry."""
    lines = []
    for key, value in table.items():
        kept = value.replace("\\", "\\\\").replace("\r", "\\r").replace("\n", "\\n")
        lines.append(f"{key}={kept}\n")
    return "".join(lines)


def executor(variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The job that ran the suite, as its CI declares it; None elsewhere."""
    for asked, name, kind, job, number, url in EXECUTORS:
        if asked in variables:
            build = variables.get(number, "")
            return {
                "name": name,
                "type": kind,
                "buildName": f"{variables.get(job, '')} #{build}",
                **({"buildOrder": int(build)} if build.isdecimal() else {}),
                "buildUrl": masked(url.format_map(defaultdict(str, variables))),
            }
    return None
