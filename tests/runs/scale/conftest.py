from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.runs.calling import Run, medprobe
from tests.runs.conftest import drawn
from tests.runs.scale.watching import Watched


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images, which are six shards of eight, each a batch."""
    return drawn(tmp_path_factory.mktemp("scale"), "small", 24, 2, seed=5)


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Callable[..., Watched]:
    """Runs the suite on the small set, and sees what it loads and extracts."""

    def call(*arguments: str | Path, store: Path | None = None, **variables: Any) -> Watched:
        folder = tmp_path_factory.mktemp("watched")
        store = store or folder / "store"
        told = folder / "told.txt"
        run: Run = medprobe(
            *("-p", "tests.runs.scale.watched", "--dataset", small, "--store", store, "--batch-size", "8", *arguments),
            report_dir=folder / "reports",
            WATCHED=str(told),
            **variables,
        )
        return Watched(run, store, told.read_text("utf-8").splitlines() if told.exists() else [])

    return call


@pytest.fixture(scope="session")
def alone(watched: Callable[..., Watched]) -> Watched:
    """Two phantoms in one process: what every other way of sharing the work out must repeat."""
    return watched("--model", "phantom", "--model", "phantom-connector", "-n", "0")
