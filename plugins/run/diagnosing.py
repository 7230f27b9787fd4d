"""Every check is run for each model and data set, and what it takes is measured once.

The fixtures stand on `medprobe_subject`, the model and data set at work (`medprobe.diagnostics.subject`). Its model is
kept for the next data set (`medprobe_model`). The `diagnosis`, or why nothing could be measured, is handed to the
process that reports as a file.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest

from medprobe.diagnostics.extraction.measurement import Progress
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.shard import extract_part
from medprobe.diagnostics.subject import Subject, Unmeasured, sentence
from medprobe.fixtures.models.registry import ModelSpec
from medprobe.plugins.call import Pair
from medprobe.plugins.options import CALL, CHECKS
from medprobe.plugins.run.gate import SUBGROUPS
from medprobe.plugins.run.handover import Handover
from medprobe.plugins.run.progress import reported

if TYPE_CHECKING:
    from medprobe.diagnostics.subject import Subject

MODEL, PAIR = "medprobe_model", "medprobe_pair"


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Last, so that the ids of a check with parameters of its own end in model and data set too."""
    if PAIR in metafunc.fixturenames:
        call = metafunc.config.stash[CALL]
        check = metafunc.definition.name.removeprefix("test_")
        pairs = [p for p in call.pairs if "criterion" not in metafunc.fixturenames or check in call.least.get(p, ())]
        if metafunc.function.__name__ == SUBGROUPS and metafunc.definition.path.parent == CHECKS:
            pairs = [pair for pair in pairs if pair.dataset.has_attributes()]
        values, ids = [(pair.model, pair) for pair in pairs], [pair.id for pair in pairs]
        metafunc.parametrize((MODEL, PAIR), values, ids=ids, indirect=True, scope="session")


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
    """The failure mode that a check is named after, `regression`, or as `least_sensitivity_malignant`."""
    return item.name.partition("[")[0].removeprefix("test_")


def pair_of(item: pytest.Item) -> Pair | None:
    """The model and data set a check is about; None for any other test."""
    callspec = getattr(item, "callspec", None)
    value = None if callspec is None else callspec.params.get(PAIR)
    return value if isinstance(value, Pair) else None


@pytest.fixture(scope="session")
def medprobe_model(request: pytest.FixtureRequest) -> ModelOnDemand:
    """The model at work, loaded when it is needed, for all its data sets. The model before it is gone by then."""
    call, spec = request.config.stash[CALL], request.param
    assert isinstance(spec, ModelSpec)
    # Python keeps the frames of the last failure, with the model that the check had taken; and what transformers loads
    # refers to itself.
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        with suppress(AttributeError):
            delattr(sys, name)
    gc.collect()
    return ModelOnDemand(spec, call.settings_of(next(pair for pair in call.pairs if pair.model == spec)))


@pytest.fixture(scope="session")
def medprobe_pair(request: pytest.FixtureRequest) -> Pair:
    """Names of the model and the data set at work."""
    pair: Pair = request.param
    return pair


@pytest.fixture(scope="session")
def medprobe_subject(request: pytest.FixtureRequest, medprobe_pair: Pair, medprobe_model: ModelOnDemand) -> Subject:
    """The model on the data set at work: the fixtures that checks take are parts of it."""
    pair, call = medprobe_pair, request.config.stash[CALL]
    handover = Handover(call)
    handover.begin(to_judge=any("diagnosis" in getattr(item, "fixturenames", ()) for item in request.session.items))
    if call.settings.shard is not None:
        _extract_part(pair, medprobe_model, handover)
    return Subject(medprobe_model, pair.dataset.name, pair.dataset.manifest, partial(_told, handover, pair))


@contextmanager
def _told(handover: Handover, pair: Pair) -> Iterator[Progress]:
    """Progress for the terminal; what cannot be measured is handed over and fails the check."""
    with reported(handover.folder, pair.id) as progress:
        try:
            yield progress
        except Unmeasured as error:
            spec, name = pair.model, pair.dataset.name
            failed = Diagnosis(model=spec.name, revision=spec.revision, dataset=name, error=str(error))
            handover.leave(pair, failed, None)
            raise pytest.fail.Exception(f"{spec.name} on {name}: {error}", pytrace=False) from None


@pytest.fixture(scope="session")
def diagnosis(request: pytest.FixtureRequest, medprobe_pair: Pair, medprobe_subject: Subject) -> Diagnosis:
    """The diagnosis of a model on a data set: what `report.json` holds of it, with its `predictions`."""
    from medprobe.diagnostics.diagnosis import diagnosis_of

    call = request.config.stash[CALL]
    found = diagnosis_of(medprobe_subject, call.baseline.get(medprobe_pair))
    Handover(call).leave(medprobe_pair, found, found.predictions)
    return found


def _extract_part(pair: Pair, model: ModelOnDemand, handover: Handover) -> NoReturn:
    """Skip what would judge, once the store holds the part that `--shard` names."""
    name = f"{pair.model.name} on {pair.dataset.name}"
    with reported(handover.folder, pair.id) as progress:
        try:
            n_part, n_images = extract_part(model, pair.dataset.manifest(), progress)
        except Exception as error:
            pytest.fail(f"{name}: {sentence(error, pair.model, pair.dataset.name)}", pytrace=False)
    told = "{}/{}".format(*model.settings.shard or (1, 1))
    handover.leave_part(pair, f"shard {told} of {name}: {n_part} of {n_images} images are in the store")
    pytest.skip(f"[shard {told}] a run without --shard judges {name}")


@pytest.fixture(scope="session")
def fail_inconclusive(request: pytest.FixtureRequest) -> bool:
    """Whether a link that cannot be decided fails."""
    return request.config.stash[CALL].fail_inconclusive


@pytest.fixture
def criterion(request: pytest.FixtureRequest) -> str:
    """The criterion that a check of what is required is named after."""
    return mode_of(request.node)
