from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medprobe.fixtures.phantoms.images import draw_dataset

TEXTS = ["Does this scan show a lesion? Answer normal, benign or malignant.", "normal", "benign", "malignant"]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of 30 patients, named in the paths."""
    manifest = draw_dataset(tmp_path_factory.mktemp("drawn"), 30, 2, seed=3)
    manifest.write_text(manifest.read_text("utf-8").replace('name = "phantom"', 'name = "drawn"'), "utf-8")
    return manifest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """An untrained checkpoint of a family, which can write the answers."""
    from medprobe.fixtures.phantoms.families.checkpoints import build_family
    from tests.conftest import SMALL

    root, built = tmp_path_factory.mktemp("tiny"), {}

    def of(family: str) -> Path:
        if family not in built:
            built[family] = build_family(family, root / family, seed=1, texts=TEXTS * 8, **SMALL)
        return built[family]

    return of
