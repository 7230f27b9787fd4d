import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def copy(family: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny checkpoint, to be broken."""
    return lambda name: Path(shutil.copytree(family(name), tmp_path / name))
