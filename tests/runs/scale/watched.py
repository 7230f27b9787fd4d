"""Loaded with `-p` into an inner run: shards are small, and what is loaded, extracted and read on a cluster is told in
the file WATCHED.

KILL names a model whose process dies, once, before its second shard is written.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    from medprobe.diagnostics.extraction import engine, measurement, model_on_demand, ray_tasks

    measurement.SHARD = 8
    told = Path(os.environ["WATCHED"])
    extract, load, whole = measurement.extract_here, model_on_demand.ModelOnDemand.load, ray_tasks.spread

    def tell(line: str) -> None:
        with told.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def extract_here(model, dataset, chunks, *rest):
        for number, read in enumerate(extract(model, dataset, chunks, *rest)):
            tell(f"{model.spec.name} {dataset.name}: {' '.join(read.shard.images)}")
            killed = told.with_suffix(".killed")
            if number == 1 and os.environ.get("KILL") == model.spec.name and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield read

    def first_load(self):
        if self._loaded is None:
            tell(f"{self.spec.name} loaded")
        return load(self)

    def told_of(tasks):
        for name, given in whole(tasks):
            tell(f"{name} spread")
            yield name, given

    patch = pytest.MonkeyPatch()
    patch.setattr(ray_tasks, "spread", told_of)
    patch.setattr(engine, "extract_here", extract_here)
    patch.setattr(model_on_demand.ModelOnDemand, "load", first_load)
