"""The `diagnosis` that every check judges: measured once a model and data set, handed to the controller as a file."""

from __future__ import annotations

from typing import NoReturn

import pytest

from medprobe.diagnostics.baselines.baseline import BaselineError
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis, Predictions
from medprobe.plugins.call import Call, Pair
from medprobe.plugins.options import CALL
from medprobe.plugins.run.handover import Handover
from medprobe.plugins.run.progress import reported

MODEL = pytest.StashKey[ModelOnDemand]()
"""Of the model that this process looked at last, so that a model is loaded once for all its data sets."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "diagnosis" in metafunc.fixturenames:
        pairs = metafunc.config.stash[CALL].pairs
        metafunc.parametrize("diagnosis", pairs, ids=[pair.id for pair in pairs], indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Accepted failures become strict xfails."""
    call = config.stash[CALL]
    for item in items:
        pair = pair_of(item)
        if pair is None:
            continue
        entry = call.accepts(pair.model.name, pair.dataset.name, mode_of(item))
        if entry is not None:
            item.add_marker(pytest.mark.xfail(reason=entry.reason, strict=True, raises=AssertionError))


def mode_of(item: pytest.Item) -> str:
    """The failure mode that a check is named after, or `regression`."""
    return item.name.partition("[")[0].removeprefix("test_")


def pair_of(item: pytest.Item) -> Pair | None:
    """The model and data set a check is about; None for any other test."""
    callspec = getattr(item, "callspec", None)
    value = None if callspec is None else callspec.params.get("diagnosis")
    return value if isinstance(value, Pair) else None


@pytest.fixture(scope="session")
def diagnosis(request: pytest.FixtureRequest) -> Diagnosis:
    """The diagnosis of one model on one data set."""
    pair: Pair = request.param
    config = request.config
    call = config.stash[CALL]
    handover = Handover(call)
    handover.folder.mkdir(parents=True, exist_ok=True)
    settings = call.settings_of(pair)
    kept = config.stash.get(MODEL, None)
    if kept is None or (kept.spec, kept.settings) != (pair.model, settings):
        config.stash[MODEL] = ModelOnDemand(pair.model, settings)
    model = config.stash[MODEL]
    if settings.shard is not None:
        _extract_part(pair, model, handover)
    from medprobe.diagnostics.diagnosis import diagnose

    with reported(handover.folder, pair.id) as progress:
        result, predictions = diagnose(model, pair.dataset.name, pair.dataset.manifest, progress)
    if predictions is not None:
        result = _compared(call, pair, result, predictions)
    handover.leave(pair, result, predictions)
    if result.error is not None:
        pytest.fail(f"{pair.model.name} on {pair.dataset.name}: {result.error}", pytrace=False)
    return result


def pytest_unconfigure(config: pytest.Config) -> None:
    """The model goes with its run: pytest keeps the config, and a second run in this process needs the memory."""
    if MODEL in config.stash:
        del config.stash[MODEL]


def _extract_part(pair: Pair, model: ModelOnDemand, handover: Handover) -> NoReturn:
    """Skip what would judge, once the store holds the part that `--shard` names."""
    from medprobe.diagnostics.diagnosis import sentence
    from medprobe.diagnostics.extraction.shard import extract_part

    name = f"{pair.model.name} on {pair.dataset.name}"
    with reported(handover.folder, pair.id) as progress:
        try:
            n_part, n_images = extract_part(model, pair.dataset.manifest(), progress)
        except Exception as error:
            pytest.fail(f"{name}: {sentence(error, pair.model, pair.dataset.name)}", pytrace=False)
    told = "{}/{}".format(*model.settings.shard or (1, 1))
    handover.leave_part(pair, f"shard {told} of {name}: {n_part} of {n_images} images are in the store")
    pytest.skip(f"[shard {told}] a run without --shard judges {name}")


def _compared(call: Call, pair: Pair, result: Diagnosis, predictions: Predictions) -> Diagnosis:
    """The diagnosis with what the comparison with its baseline adds."""
    if pair not in call.baseline:
        return result
    from medprobe.diagnostics.baselines.regression import record

    thresholds, names = call.settings.thresholds, (pair.model.name, pair.dataset.name)
    margins, drop = thresholds.margins(*names), thresholds.health_limits(*names).largest_drop
    try:
        found = record(call.baseline[pair], predictions, margins, drop, call.settings.seed)
    except BaselineError as error:
        return Diagnosis(
            model=result.model, revision=result.revision, dataset=result.dataset, error=one_line(str(error))
        )
    return result.model_copy(update={"regression": found})


@pytest.fixture(scope="session")
def fail_inconclusive(request: pytest.FixtureRequest) -> bool:
    """Whether a link that cannot be decided fails."""
    return request.config.stash[CALL].fail_inconclusive
