"""`--plan`: what a call will cost, printed instead of running it."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.planning.gpus import GPUS
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.thresholds import ThresholdError, Thresholds, load_thresholds
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.datasets.manifest import by_finding
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelError
from medprobe.fixtures.models.size.shapes import UnknownArchitecture
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import PHANTOM, PUBLISHED, load_options, model_of
from medprobe.plugins.project import CallError, Config, settled

if TYPE_CHECKING:
    from medprobe.diagnostics.planning.gate import GatePlan
    from medprobe.diagnostics.planning.pictures import Pictures
    from medprobe.diagnostics.planning.plan import CallPlan
    from medprobe.diagnostics.settings import Settings


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if config.getoption("medprobe_plan") is None:
        return None
    from medprobe.diagnostics.planning.plan import table

    try:
        settings = settled(config)
        plan = _plan(config, settings)
    except CallError as error:
        raise pytest.UsageError(one_line(str(error))) from None
    print(table(plan))
    given = config.getoption("medprobe_report_dir")
    if given or config.getoption("verbose") > 0:
        folder = Path(given or settings.report_dir or "reports").expanduser()
        print(write_text(folder / "plan.json", json.dumps(plan.record(), indent=1) + "\n"))
    return int(pytest.ExitCode.OK)


def _plan(config: pytest.Config, written: Config) -> CallPlan:
    """The plan of the call. Raises CallError."""
    from medprobe.diagnostics.planning.checkpoint import describe
    from medprobe.diagnostics.planning.cost import cost
    from medprobe.diagnostics.planning.gate import gate_plan
    from medprobe.diagnostics.planning.plan import CallPlan

    option = config.getoption
    root = option("medprobe_data_root") or os.environ.get("MEDPROBE_DATA") or written.data_root
    settings = Settings(
        store=Path(),
        data_root=Path(root).expanduser() if root else None,
        **{name: option(f"medprobe_{name}") for name in ("controls", "seed", "batch_size", "max_images")},
    )
    typed = {field.name: option(f"medprobe_{field.name}") for field in fields(LoadOptions)}
    thresholds = _thresholds(config, written)
    gates: dict[str, tuple[GatePlan, ...]] = {}
    gpu, costs, refused = GPUS[option("medprobe_plan")], [], []
    known: dict[str, Pictures] = {}
    try:
        for asked in option("medprobe_model") or [PHANTOM]:
            alias = written.models.get(asked)
            spec = model_of(asked, alias)
            own = replace(settings, load=load_options(typed, alias))
            try:
                checkpoint = describe(spec, own.load.dtype, own.load.processor)
                given = option("medprobe_dataset") or ([PHANTOM] if spec.is_phantom else PUBLISHED)
                for name in (one for each in given for one in by_finding(written.datasets.get(each, each))):
                    known[name] = known.get(name) or _pictures(name, own)
                    costs.append(cost(spec, checkpoint, known[name], own, gpu))
                    margins = thresholds.margins(spec.name, known[name].name)
                    gates[name] = gates.get(name) or tuple(gate_plan(known[name], margins))
            except UnknownArchitecture as error:
                refused.append(f"{spec.name} cannot be planned: {error}.")
    except (ModelError, DataError) as error:
        raise CallError(str(error)) from None
    share = thresholds.margins("", "").changed_answers
    notes = [
        f"{pictures.name} was not found here; as published: {pictures.note}."
        for pictures in known.values()
        if pictures.note is not None
    ]
    return CallPlan(
        gpu, tuple(costs), tuple(refused), tuple(notes), tuple(g for each in gates.values() for g in each), share
    )


def _thresholds(config: pytest.Config, written: Config) -> Thresholds:
    """The thresholds of the call. Raises CallError."""
    asked = config.getoption("medprobe_thresholds") or written.thresholds
    try:
        return load_thresholds(Path(asked).expanduser() if asked else None)
    except ThresholdError as error:
        raise CallError(str(error)) from None


def _pictures(name: str, settings: Settings) -> Pictures:
    """The pictures of a data set; of a built-in one that was not found as published. Raises DataError."""
    from medprobe.diagnostics.planning import pictures

    manifest = catalog.resolve(name)
    try:
        return pictures.count(manifest, settings.data_root, settings.max_images, settings.seed)
    except DataError:
        if name not in PUBLISHED:
            raise
        return pictures.published(manifest, settings.max_images)
