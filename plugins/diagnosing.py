"""The `diagnosis` that every check judges: measured once a model and data set, handed to the controller as a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from diagnostics.baseline import BaselineError
from diagnostics.records import Diagnosis, Predictions
from plugins.call import Call, Pair
from plugins.options import CALL
from plugins.report.files import write_text


def handover_path(call: Call, pair: Pair) -> Path:
    """Where the process that diagnosed leaves the result for the one that reports."""
    return call.report_dir / ".handover" / f"{call.pairs.index(pair)}.json"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "diagnosis" in metafunc.fixturenames:
        pairs = metafunc.config.stash[CALL].pairs
        metafunc.parametrize("diagnosis", pairs, ids=[pair.id for pair in pairs], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Accepted failures become strict xfails."""
    call = config.stash[CALL]
    today = time.strftime("%Y-%m-%d")
    for item in items:
        pair = pair_of(item)
        if pair is None:
            continue
        item.user_properties += [("model", pair.model.name), ("dataset", pair.dataset.name)]
        for entry in call.accepted:
            named = (entry.model, entry.dataset) == (pair.model.name, pair.dataset.name)
            if named and item.name.startswith(f"test_{entry.mode}[") and today <= entry.until.isoformat():
                item.add_marker(pytest.mark.xfail(reason=entry.reason, strict=True, raises=AssertionError))


def pair_of(item: pytest.Item) -> Pair | None:
    """The model and data set a check is about; None for any other test."""
    callspec = getattr(item, "callspec", None)
    value = None if callspec is None else callspec.params.get("diagnosis")
    return value if isinstance(value, Pair) else None


@pytest.fixture(scope="session")
def diagnosis(request: pytest.FixtureRequest) -> Diagnosis:
    """The diagnosis of one model on one data set."""
    pair: Pair = request.param
    call = request.config.stash[CALL]
    from diagnostics.diagnosis import diagnose

    with _progress(request.config, pair) as progress:
        result, predictions = diagnose(pair.model, pair.dataset.name, pair.dataset.manifest, call.settings, progress)
    path = handover_path(call, pair)
    if predictions is not None:
        result = _compared(call, pair, result, predictions)
        write_text(path.with_suffix(".predictions.json"), predictions.model_dump_json())
    write_text(path, result.model_dump_json())
    if result.error is not None:
        pytest.fail(f"{pair.model.name} on {pair.dataset.name}: {result.error}", pytrace=False)
    return result


def _compared(call: Call, pair: Pair, result: Diagnosis, predictions: Predictions) -> Diagnosis:
    """The diagnosis with what the comparison with its baseline adds."""
    if pair not in call.baseline:
        return result
    from diagnostics.regression import record

    thresholds, names = call.settings.thresholds, (pair.model.name, pair.dataset.name)
    least, drop = thresholds.minimum_effect(*names), thresholds.health_limits(*names).largest_drop
    try:
        found = record(call.baseline[pair], predictions, least, drop, call.settings.seed)
    except BaselineError as error:
        return Diagnosis(model=result.model, revision=result.revision, dataset=result.dataset, error=str(error))
    return result.model_copy(update={"regression": found})


@pytest.fixture(scope="session")
def fail_inconclusive(request: pytest.FixtureRequest) -> bool:
    """Whether a link that cannot be decided fails."""
    return request.config.stash[CALL].fail_inconclusive


class _progress:
    """A line that says how far long work is, on a terminal only."""

    def __init__(self, config: pytest.Config, pair: Pair) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        # Under capture file descriptor 2 is pytest's own file; whether it is a terminal shows only without.
        with self._uncaptured():
            terminal = sys.__stderr__ is not None and sys.__stderr__.isatty()
        self._shown = terminal and config.get_verbosity() >= 0
        self._name = pair.id
        self._started: dict[str, float] = {}

    def __enter__(self) -> Callable[[str, int, int], None]:
        return self._show

    def __exit__(self, *_: object) -> None:
        self._write("")

    def _show(self, what: str, done: int, total: int) -> None:
        start = self._started.setdefault(what, time.monotonic())
        left = (time.monotonic() - start) / done * (total - done) if done else None
        self._write(f"{self._name}: {what} {done}/{total}" + (f", {left:.0f} s left" if left else ""))

    def _uncaptured(self) -> AbstractContextManager[None]:
        return nullcontext() if self._capture is None else self._capture.global_and_fixture_disabled()

    def _write(self, line: str) -> None:
        if not self._shown or sys.__stderr__ is None:
            return
        with self._uncaptured():
            sys.__stderr__.write(f"\r\x1b[K{line}")
            sys.__stderr__.flush()
