import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = {"image_size": 32, "vision_layers": 3, "vision_width": 32, "text_layers": 3, "text_width": 32, "text_heads": 2}


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
def copy(family: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny checkpoint, to be broken."""
    return lambda name: Path(shutil.copytree(family(name), tmp_path / name))
