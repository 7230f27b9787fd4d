import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medprobe.diagnostics.evidence import Evidence, gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.images import draw_dataset

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests, so that an image is seen once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def evidence_of(store: Path) -> Callable[[Path], Evidence]:
    """What the phantom shows on the data set of a manifest."""

    def measure(manifest: Path) -> Evidence:
        return gather(
            ModelOnDemand(resolve("phantom"), Settings(store=store)), open_dataset(manifest, None), lambda *_: None
        )

    return measure


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 drawn images of 24 patients."""
    return draw_dataset(tmp_path_factory.mktemp("phantoms"), 24, 4, seed=3)
