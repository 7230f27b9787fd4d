"""Warnings are errors in the suite's own tests, and only there: a diagnosis may warn, and says so in its summary."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"
HERE = Path(__file__).parent
# Tests and studies import one another by name, and are no part of what is installed.
sys.path.insert(0, str(HERE.parent))

# The first example pays for imports, and a machine may be busy with other work.
settings.register_profile("medprobe", deadline=None)
settings.load_profile("medprobe")

LONGEST = "test_docs_run.py"
SMALL: dict[str, Any] = {
    "image_size": 32, "vision_layers": 3, "vision_width": 32, "text_layers": 3, "text_width": 32, "text_heads": 2,
}  # fmt: skip
NOT_OURS = (
    # numpy 2 asks PIL images and torch tensors for a `copy` argument that transformers' processors do not pass on.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    # peft asks models for this by its older name.
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            # The last filter wins: those of a test itself come after these.
            for rule in (*reversed(NOT_OURS), "error"):
                item.add_marker(pytest.mark.filterwarnings(rule), append=False)
    # Begun first, so that no worker waits for it at the end.
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny untrained checkpoint of every family."""
    from medprobe.fixtures.phantoms.families.checkpoints import FAMILIES, build_family

    root = tmp_path_factory.mktemp("checkpoints")
    return {name: build_family(name, root / name, seed=1, **SMALL) for name in FAMILIES}


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny untrained checkpoint of a family, built once."""
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    root = tmp_path_factory.mktemp("families")

    def build(name: str) -> Path:
        folder = root / name
        return folder if folder.exists() else build_family(name, folder, seed=1, **SMALL)

    return build


@pytest.fixture
def images() -> list[Image.Image]:
    """Three images of different sizes."""
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
        for width, height in [(32, 32), (48, 33), (40, 70)]
    ]
