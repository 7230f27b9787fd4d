"""Floors: the file's own facts and 16 x 16 pixels."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics.controls import floors, run
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.ridge import read_ridge
from medprobe.diagnostics.scores import balanced_accuracy
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.facts import FileFacts, file_facts

MANIFEST = """name = "sizes"
modality = "scan"
prompt = "Which?"
root = "images"
[[classes]]
answer = "benign"
images = ["a/*.png"]
[[classes]]
answer = "malignant"
images = ["b/*.png"]
"""


def noise(width: int, height: int, seed: int, mode: str = "L", type_: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, type_)
    return buffer.getvalue()


def test_facts_of_a_file() -> None:
    assert file_facts(noise(30, 20, 0)) == FileFacts(30, 20, "L", "PNG")
    assert file_facts(noise(8, 9, 0, "RGB", "JPEG")) == FileFacts(8, 9, "RGB", "JPEG")


def test_a_label_in_a_middle_size_is_read() -> None:
    """No line over the width finds it."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    width = np.where(labels, rng.integers(95, 105, 120), rng.choice([60, 140], 120) + rng.integers(0, 20, 120))
    x = floors.encode([FileFacts(int(w), 50, "L", "PNG") for w in width])
    groups = np.arange(120)
    fold = folds.assign(labels, groups, 5, 0)
    assert balanced_accuracy(labels, read_ridge(x, labels, groups, fold).predictions, 2) > 0.8
    assert balanced_accuracy(labels, read_ridge(x[:, :1], labels, groups, fold).predictions, 2) < 0.65


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise whose width tells the class in nine of ten images."""
    folder = tmp_path_factory.mktemp("sizes")
    for k, name in enumerate("ab"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(30):
            width = 40 + 10 * (k ^ (i % 10 == 0))
            (folder / "images" / name / f"{i}.png").write_bytes(noise(width, 40, 100 * k + i))
    (folder / "manifest.toml").write_text(MANIFEST)
    return folder / "manifest.toml"


def test_a_label_that_hides_in_the_size_is_said(sized: Path, evidence_of: Callable[[Path], Evidence]) -> None:
    evidence = evidence_of(sized)
    found, (caution,) = floors.file_facts(evidence)
    assert found.facts == ["width"]
    assert found.accuracy == pytest.approx(0.9)
    assert found.p < 0.05
    assert found.within is not None
    assert abs(found.within["reference"]) < 0.5
    assert found.n_within >= 40
    assert "shortcut" in caution
    assert "90.0% accuracy (80.0 points of signal)" in caution


def test_equal_files_tell_nothing(phantoms: Path, evidence_of: Callable[[Path], Evidence]) -> None:
    evidence = evidence_of(phantoms)
    found, cautions = floors.file_facts(evidence)
    assert (found.signal, found.p, found.facts, cautions) == (0, 1, [], [])


def test_a_second_run_computes_nothing(
    phantoms: Path, evidence_of: Callable[[Path], Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run.run(evidence_of(phantoms))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    evidence = evidence_of(phantoms)
    monkeypatch.setattr("medprobe.diagnostics.probes.permutations.read_label_sets", refuse)
    for module in ("floors", "control_task", "twin"):
        monkeypatch.setattr(f"medprobe.diagnostics.controls.{module}.read", refuse)
    monkeypatch.setattr(type(evidence.model), "load", refuse)
    assert run.run(evidence) == first


def test_covid19_ct_hides_its_label_in_its_files() -> None:
    data = os.environ.get("MEDPROBE_DATA")
    if not data or not (Path(data) / "covid19-ct").is_dir():
        pytest.skip("MEDPROBE_DATA holds no covid19-ct")
    dataset = open_dataset(catalog.resolve("covid19-ct"), Path(data))
    labels, groups = np.array(dataset.labels()), np.array(dataset.groups())
    x = floors.encode([file_facts(image.read_bytes()) for image in dataset.images])
    reading = read_ridge(x, labels, groups, folds.assign(labels, groups, 5, 0))
    assert np.mean(reading.predictions == labels) >= 0.8
