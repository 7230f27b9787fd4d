from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medprobe.fixtures.phantoms.images import draw_dataset
from tests.runs.calling import Run, medprobe


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests, so that an image is seen once."""
    return tmp_path_factory.mktemp("store")


def drawn(folder: Path, name: str, n_patients: int, images_per_patient: int, seed: int) -> Path:
    """A phantom data set of another name."""
    manifest = draw_dataset(folder, n_patients, images_per_patient, seed)
    manifest.write_text(manifest.read_text("utf-8").replace('name = "phantom"', f'name = "{name}"'), "utf-8")
    return manifest


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images of 24 patients."""
    return drawn(tmp_path_factory.mktemp("small"), "small", 24, 2, seed=5)


@pytest.fixture(scope="session")
def torn(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """The small set with one of its images cut short."""
    folder = tmp_path_factory.mktemp("torn") / "set"
    shutil.copytree(small.parent, folder)
    manifest = folder / small.name
    manifest.write_text(manifest.read_text("utf-8").replace('name = "small"', 'name = "torn"'), "utf-8")
    image = folder / "images" / "normal" / "patient00003_1.png"
    image.write_bytes(image.read_bytes()[:900])
    return manifest


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory, store: Path, small: Path) -> Run:
    """Two phantoms on the small set; everything after it reads the store."""
    folder = tmp_path_factory.mktemp("first")
    return medprobe(
        *("--model", "phantom", "--model", "phantom-connector", "--dataset", small, "--store", store),
        *("-v", "-n", "0", f"--junitxml={folder / 'junit.xml'}"),
        report_dir=folder,
    )
