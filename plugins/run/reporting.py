"""What a run leaves behind: `report.json`, the pages, and the summary in the terminal. The controller alone writes."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from medprobe.diagnostics.baselines import baseline
from medprobe.diagnostics.judgement.outcome import gate_verdicts
from medprobe.diagnostics.outside_text import masked, one_line
from medprobe.diagnostics.records.chain import worst
from medprobe.diagnostics.records.report import Diagnosis, Predictions, Report
from medprobe.fixtures.datasets.dataset import ImageFile, open_dataset
from medprobe.fixtures.datasets.manifest import DataError
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import Call
from medprobe.plugins.options import CALL
from medprobe.plugins.project import CONFIG
from medprobe.plugins.report.outputs.terminal import summary_lines, wrap
from medprobe.plugins.report.sections.sentences import links
from medprobe.plugins.run.diagnosing import SHARDED, handover_path

REPORT = pytest.StashKey[Report]()
PARTS = pytest.StashKey[list[str]]()
SAVED = pytest.StashKey[Path]()
STOOD = pytest.StashKey[tuple[int, ...]]()
"""What is known of the report that stood in the folder when the run began."""
DAY = 86400
LONGEST_WAIT = 60
"""Seconds to wait for another run that writes its report; it takes a few."""
VERSIONS = ("medprobe", "torch", "transformers", "numpy", "scipy", "scikit-learn", "timm")


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_report_header(config: pytest.Config) -> list[str]:
    call = config.stash[CALL]
    models = ", ".join(
        dict.fromkeys(f"{p.model.name}@{p.model.revision}" if p.model.revision else p.model.name for p in call.pairs)
    )
    data = ", ".join(dict.fromkeys(p.dataset.name for p in call.pairs))
    s = call.settings
    asked = [(p.model.name, p.dataset.name, p.dataset.question()[1]) for p in call.pairs]
    notes = [line for text in s.thresholds.unmatched(asked) for line in wrap(one_line(text), _width(config), "")]
    lines = wrap(
        f"medprobe: {models} on {data}; probe {s.probe}, reference {s.reference}, seed {s.seed}, "
        f"dtype {s.dtype or 'as saved'}, device {s.device_map or 'auto'}",
        _width(config),
        "",
    )
    return [*lines, *notes]


def _width(config: pytest.Config) -> int:
    """Columns of the terminal, at most 80, which is what reports and logs are read at."""
    return min(80, config.get_terminal_writer().fullwidth)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    call = session.config.stash[CALL]
    if not _is_worker(session.config):
        _sweep(call.handover.parent)
        session.config.stash[STOOD] = _standing(call.report_dir)


def _standing(folder: Path) -> tuple[int, ...]:
    """Changes with every report that is written into the folder; empty where there is none."""
    try:
        found = (folder / "report.json").stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sweep(folder: Path) -> None:
    """Take away what runs left that did not end, once they have been silent for a day."""
    for left in folder.glob("*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > DAY:
                shutil.rmtree(left, ignore_errors=True)


def _clear(call: Call) -> None:
    """The handover of this run is over."""
    shutil.rmtree(call.handover, ignore_errors=True)
    with suppress(OSError):
        call.handover.parent.rmdir()


@contextmanager
def _alone(call: Call, stood: tuple[int, ...]) -> Iterator[Path]:
    """The folder to write the report into, for one run at a time. Where another run has left its report since this one
    began, that is a folder beside it, so that no report is lost and none is of two runs.
    """
    call.report_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(call.report_dir / ".lock")
    # Some network file systems know no locks; there the files are still each whole.
    with suppress(OSError, NotImplementedError):
        lock.acquire(timeout=LONGEST_WAIT)
    try:
        alone = _standing(call.report_dir) == stood
        yield call.report_dir if alone else call.report_dir.with_name(f"{call.report_dir.name}-{call.run[:8]}")
    finally:
        lock.release()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _is_worker(config):
        return
    call = config.stash[CALL]
    if call.settings.shard is not None:
        config.stash[PARTS] = [path.read_text("utf-8") for path in sorted(call.handover.glob(f"*{SHARDED}"))]
        _clear(call)
        return
    diagnoses = _collect(call, session.testsfailed > 0)
    if not diagnoses:
        return
    report = Report(
        suite={
            "versions": {name: _version(name) for name in VERSIONS},
            "python": platform.python_version(),
            "command": _typed(),
            "seed": call.settings.seed,
        },
        verdict=worst([v for diagnosis in diagnoses for v in gate_verdicts(diagnosis, call.gate).values()]),
        gate=call.gate,
        outdated=_outdated(diagnoses, call),
        diagnoses=diagnoses,
    )
    from medprobe.plugins.report.outputs.files import write_report
    from medprobe.plugins.report.outputs.pages import write_pages

    try:
        with _alone(call, config.stash[STOOD]) as folder:
            write_report(report, folder)
            write_pages(report, folder, _predictions(call, report), _images(call, report))
            if call.save_baseline is not None and any(diagnosis.error is None for diagnosis in diagnoses):
                config.stash[SAVED] = _save_baseline(call, call.save_baseline, report)
            _keep_predictions(call, report, folder)
    except OSError as error:
        pytest.exit(
            f"the report cannot be written to {call.report_dir} ({error.strerror}); "
            "name another folder with --report-dir",
            returncode=pytest.ExitCode.TESTS_FAILED,
        )
    _clear(call)
    config.stash[CALL] = replace(call, report_dir=folder)
    config.stash[REPORT] = report
    for diagnosis in diagnoses:
        config.hook.pytest_medprobe_diagnosed(config=config, diagnosis=diagnosis)


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
        for _, mode, link in (links(d) if call.gate != "regression" else [])
        if link.verdict == "pass" and call.accepts(d.model, d.dataset, mode) is not None
    ]


def _save_baseline(call: Call, path: Path, report: Report) -> Path:
    """Write the predictions of every diagnosis without error as one baseline."""
    handed = {(pair.model.name, pair.dataset.name): handover_path(call, pair) for pair in call.pairs}
    moment = baseline.now()
    saved = [
        baseline.Saved(
            revision=diagnosis.revision,
            predictions=Predictions.model_validate_json(
                handed[diagnosis.model, diagnosis.dataset].with_suffix(".predictions.json").read_bytes()
            ),
        )
        for diagnosis in report.diagnoses
        if diagnosis.error is None
    ]
    whole = baseline.Baseline(saved=moment, versions=report.suite["versions"], diagnoses=saved)
    return write_text(baseline.target(path, moment), whole.model_dump_json())


def _predictions(call: Call, report: Report) -> list[Predictions | None]:
    """What was handed over of each diagnosis; none where it ended in an error."""
    handed = {(pair.model.name, pair.dataset.name): handover_path(call, pair) for pair in call.pairs}
    paths = (handed[d.model, d.dataset].with_suffix(".predictions.json") for d in report.diagnoses)
    return [Predictions.model_validate_json(path.read_bytes()) if path.exists() else None for path in paths]


def _images(call: Call, report: Report) -> list[dict[str, ImageFile]]:
    """The files of each diagnosis by id where images are asked for; none of a data set that can no longer be opened."""
    if not call.include_images:
        return []
    opened: dict[str, dict[str, ImageFile]] = {}
    for pair in call.pairs:
        name, settings = pair.dataset.name, call.settings
        if name not in opened:
            try:
                found = open_dataset(pair.dataset.manifest(), settings.data_root, settings.max_images, settings.seed)
                opened[name] = {image.id: image for image in found.images}
            except DataError:
                opened[name] = {}
    return [opened[diagnosis.dataset] for diagnosis in report.diagnoses]


def _keep_predictions(call: Call, report: Report, report_dir: Path) -> None:
    """Move the predictions beside the page of their diagnosis."""
    from medprobe.plugins.report.sections.page import folder_names

    handed = {(pair.model.name, pair.dataset.name): handover_path(call, pair) for pair in call.pairs}
    for diagnosis, folder in zip(report.diagnoses, folder_names(report), strict=True):
        path = handed[diagnosis.model, diagnosis.dataset].with_suffix(".predictions.json")
        if path.exists():
            path.replace(report_dir / folder / "predictions.json")


def _collect(call: Call, failed: bool) -> list[Diagnosis]:
    """The diagnoses handed over, and an error for each that a failed run should have given and did not."""
    paths = {pair: handover_path(call, pair) for pair in call.pairs}
    if not call.handover.exists():
        return []
    found = []
    for pair, path in paths.items():
        if path.exists():
            found.append(Diagnosis.model_validate_json(path.read_text("utf-8")))
        elif failed:
            found.append(
                Diagnosis(
                    model=pair.model.name,
                    revision=pair.model.revision,
                    dataset=pair.dataset.name,
                    error="not measured: the process that should have done it stopped",
                )
            )
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if parts := config.stash.get(PARTS, None):
        terminalreporter.section("medprobe", yellow=True)
        for line in [*parts, "nothing is judged; a run without --shard finds the features and judges"]:
            terminalreporter.write_line(line)
    report = config.stash.get(REPORT, None)
    if report is None:
        return
    colour = {"pass": "green", "fail": "red"}.get(report.verdict or "", "yellow")
    terminalreporter.section("medprobe", **{colour: True})  # type: ignore[arg-type]
    for line in summary_lines(report, _width(config), config.get_verbosity()):
        terminalreporter.write_line(line)
    if SAVED in config.stash:
        terminalreporter.write_line(f"baseline: {config.stash[SAVED]}")
    call = config.stash[CALL]
    if call.report_dir.name.endswith(f"-{call.run[:8]}"):
        terminalreporter.write_line("another run left its report in the folder that was named, while this one ran")
    if call.include_images:
        terminalreporter.write_line("the report holds images of the data set (--include-images)")
    terminalreporter.write_line(f"report: {call.report_dir / 'index.html'}")
