"""What a run leaves behind: `report.json`, the pages, predictions and a baseline. The controller alone writes."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from medprobe.diagnostics.baselines import baseline
from medprobe.diagnostics.baselines.outcome import gate_verdicts
from medprobe.diagnostics.baselines.pooled import pooled
from medprobe.diagnostics.outside_text import masked
from medprobe.diagnostics.records.acceptance import Acceptance
from medprobe.diagnostics.records.chain import worst
from medprobe.diagnostics.records.report import Diagnosis, Predictions, Report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import Call
from medprobe.plugins.options import CALL
from medprobe.plugins.project import CONFIG
from medprobe.plugins.report.outputs import acceptance
from medprobe.plugins.report.outputs.files import write_report
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.sections.page import folder_names
from medprobe.plugins.report.sections.subgroups import absolute_checks
from medprobe.plugins.run.handover import Handover
from medprobe.plugins.run.images import images_of
from medprobe.plugins.run.report_folder import alone, standing

REPORT = pytest.StashKey[Report]()
PARTS = pytest.StashKey[list[str]]()
SAVED = pytest.StashKey[Path]()
ACCEPTANCE = pytest.StashKey[Acceptance]()
ASIDE = pytest.StashKey[bool]()
"""Whether another run took the folder that was named, so that the report is in one beside it."""
STOOD = pytest.StashKey[tuple[int, ...]]()
"""What is known of the report that stood in the folder when the run began."""
VERSIONS = ("medprobe", "torch", "transformers", "numpy", "scipy", "scikit-learn", "timm")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    call = session.config.stash[CALL]
    if not _is_worker(session.config):
        Handover(call).sweep()
        session.config.stash[STOOD] = standing(call.report_dir)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _is_worker(config):
        return
    call = config.stash[CALL]
    handover = Handover(call)
    if call.settings.shard is not None:
        config.stash[PARTS] = handover.parts()
        handover.clear()
        return
    diagnoses = handover.diagnoses(session.testsfailed > 0)
    if not diagnoses:
        return
    report = _report(diagnoses, call)
    predictions = [handover.predictions(diagnosis) for diagnosis in diagnoses]
    try:
        with alone(call, config.stash[STOOD]) as folder:
            _write(report, folder, predictions, call, handover)
            if call.criteria is None:
                acceptance.remove(folder)
            else:
                config.stash[ACCEPTANCE] = acceptance.record(report, call.criteria, baseline.now())
                acceptance.write(config.stash[ACCEPTANCE], folder)
            if call.save_baseline is not None and any(diagnosis.error is None for diagnosis in diagnoses):
                config.stash[SAVED] = _save_baseline(call.save_baseline, report, predictions)
    except OSError as error:
        pytest.exit(
            f"the report cannot be written to {call.report_dir} ({error.strerror}); "
            "name another folder with --report-dir",
            returncode=pytest.ExitCode.TESTS_FAILED,
        )
    handover.clear()
    config.stash[ASIDE] = folder != call.report_dir
    config.stash[CALL] = replace(call, report_dir=folder)
    config.stash[REPORT] = report
    for diagnosis, found in zip(diagnoses, predictions, strict=True):
        held = diagnosis if found is None else diagnosis.with_predictions(found)
        config.hook.pytest_medprobe_diagnosed(config=config, diagnosis=held)


def _report(diagnoses: list[Diagnosis], call: Call) -> Report:
    return Report(
        suite={
            "versions": {name: _version(name) for name in VERSIONS},
            "python": platform.python_version(),
            "command": _typed(),
            "seed": call.settings.seed,
        },
        verdict=worst([v for diagnosis in diagnoses for v in gate_verdicts(diagnosis, call.gate).values()]),
        gate=call.gate,
        outdated=_outdated(diagnoses, call),
        pooled=pooled(diagnoses),
        diagnoses=diagnoses,
    )


def _write(
    report: Report, folder: Path, predictions: Sequence[Predictions | None], call: Call, handover: Handover
) -> None:
    """Write the report and its pages, and move the predictions beside the page of their diagnosis."""
    write_report(report, folder)
    write_pages(report, folder, predictions, images_of(call, report.diagnoses))
    for diagnosis, name in zip(report.diagnoses, folder_names(report), strict=True):
        handover.move_predictions(diagnosis, folder / name / "predictions.json")


def _save_baseline(path: Path, report: Report, predictions: Sequence[Predictions | None]) -> Path:
    """Write the predictions of every diagnosis without error as one baseline."""
    moment = baseline.now()
    saved = [
        baseline.Saved(revision=diagnosis.revision, predictions=found)
        for diagnosis, found in zip(report.diagnoses, predictions, strict=True)
        if diagnosis.error is None and found is not None
    ]
    whole = baseline.Baseline(saved=moment, versions=report.suite["versions"], diagnoses=saved)
    return write_text(baseline.target(path, moment), whole.model_dump_json())


def _typed() -> str:
    """The command as its user typed it; the one pytest sees may have more, so that it finds the suite."""
    program = Path(sys.argv[0])
    name = f"python -m {program.parent.name}" if program.stem == "__main__" else program.name
    return masked(f"{name} {shlex.join(sys.argv[1:])}".rstrip())


def _outdated(diagnoses: list[Diagnosis], call: Call) -> list[str]:
    """Accepted failures that pass: their checks are strict xfails, and so fail."""
    return [
        f"{d.model} on {d.dataset}: the accepted failure {mode} passes: remove it from {CONFIG}"
        for d in diagnoses
        for mode, verdict in (absolute_checks(d) if call.gate in ("absolute", "both") else [])
        if verdict == "pass" and call.accepts(d.model, d.dataset, mode) is not None
    ]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
