import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"

SMALL = {"image_size": 32, "vision_layers": 3, "vision_width": 32, "text_layers": 3, "text_width": 32, "text_heads": 2}
PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."


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
