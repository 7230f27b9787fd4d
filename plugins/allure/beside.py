"""The files beside the results: how the report is made, what was run, and where."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from diagnostics.records import Report
from plugins.allure.content import STORIES
from plugins.call import Call
from plugins.report.files import write_text

HISTORY = "allure-history.jsonl"
CATEGORIES: list[dict[str, Any]] = [
    {
        "name": "inconclusive",
        "matchers": [
            {"statuses": ["skipped"], "message": r"^Skipped: \[inconclusive\]"},
            {"statuses": ["failed"], "message": r"^AssertionError: \[\w+\] \[inconclusive\]"},
        ],
    },
    *(
        {"name": name, "matchers": [{"statuses": ["failed"], "message": rf"^AssertionError: \[{check}\]"}]}
        for check, name in STORIES.items()
    ),
    {"name": "accepted failure", "matchers": [{"statuses": ["skipped"], "message": "^XFAIL"}]},
    # A strict xfail that passes is the one failure without a message.
    {"name": "accepted failure that passes", "matchers": [{"statuses": ["failed"], "message": "^$"}]},
    {"name": "suite error", "matchers": [{"statuses": ["failed", "broken"]}]},
]
"""The first that matches holds a test; a message is matched as allure-pytest writes it."""


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
        "plugins": {"awesome": {"options": {"groupBy": ["epic", "feature", "story"], "singleFile": True}}},
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
    if variables.get("GITHUB_ACTIONS") == "true":
        names = ("GITHUB_WORKFLOW", "GITHUB_RUN_NUMBER", "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
        workflow, number, server, repository, run = (variables.get(name, "") for name in names)
        return _executor("GitHub Actions", "github", workflow, number, f"{server}/{repository}/actions/runs/{run}")
    if variables.get("GITLAB_CI") == "true":
        names = ("CI_JOB_NAME", "CI_PIPELINE_IID", "CI_JOB_URL")
        return _executor("GitLab CI", "gitlab", *(variables.get(name, "") for name in names))
    if "JENKINS_URL" in variables:
        names = ("JOB_NAME", "BUILD_NUMBER", "BUILD_URL")
        return _executor("Jenkins", "jenkins", *(variables.get(name, "") for name in names))
    return None


def _executor(name: str, kind: str, job: str, number: str, url: str) -> dict[str, Any]:
    order = {"buildOrder": int(number)} if number.isdigit() else {}
    return {"name": name, "type": kind, "buildName": f"{job} #{number}", "buildUrl": url, **order}
