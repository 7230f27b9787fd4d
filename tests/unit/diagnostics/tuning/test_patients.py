"""Who is held out, and that nobody is moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from medprobe.diagnostics.tuning.patients import held_out_manifest, split
from medprobe.fixtures.datasets.dataset import Dataset, open_dataset
from medprobe.fixtures.datasets.errors import DataError
from tests.unit.fixtures.datasets.samples import MANIFEST, png

PATIENTS = [f"{kind}/p{number:02d}" for kind in ("dark", "bright") for number in range(20)]
GROUPED = "[groups]\npattern = '(p\\d+)_'\n"


def pictures(root: Path, patients: Sequence[str], per_patient: int = 2) -> None:
    for patient in patients:
        for number in range(per_patient):
            path = root / "pictures" / f"{patient}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(hash_of(path.name + patient), 8))


def hash_of(text: str) -> int:
    return sum(ord(letter) * 31**i for i, letter in enumerate(text))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "set.toml"
    # Numbers of patients are counted in each class apart.
    path.write_text(MANIFEST.format(top="", end=GROUPED.replace("(p", "((?:dark|bright)/p")), "utf-8")
    pictures(tmp_path, PATIENTS)
    return path


def patients(images: Sequence) -> set[str]:
    return {image.name.rsplit("_", 1)[0] for image in images}


def test_no_patient_is_on_both_sides(manifest: Path) -> None:
    sides = split(open_dataset(manifest, None), 0.5)
    assert not patients(sides.tuned) & patients(sides.held_out)
    assert patients(sides.tuned) | patients(sides.held_out) == set(PATIENTS)
    assert len(sides.tuned) + len(sides.held_out) == 2 * len(PATIENTS)
    assert 10 <= len(patients(sides.held_out)) <= 30


def test_a_larger_share_only_adds(manifest: Path) -> None:
    dataset = open_dataset(manifest, None)
    few, many = (patients(split(dataset, share).held_out) for share in (0.3, 0.6))
    assert few < many


def test_more_images_move_nobody(manifest: Path, tmp_path: Path) -> None:
    before = split(open_dataset(manifest, None), 0.5)
    new = [f"dark/p{number}" for number in range(20, 30)]
    pictures(tmp_path, new)
    # Enough of them that the least digest of most patients is another.
    pictures(tmp_path, PATIENTS, per_patient=8)
    after = split(open_dataset(manifest, None), 0.5)
    assert patients(after.held_out) - set(new) == patients(before.held_out)
    assert patients(after.tuned) - set(new) == patients(before.tuned)


def held_out(manifest: Path, tmp_path: Path, **arguments: int) -> tuple[Dataset, Path]:
    dataset = open_dataset(manifest, None)
    sides = split(dataset, 0.5, **arguments)
    path = tmp_path / "elsewhere" / "held-out.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(held_out_manifest(manifest, dataset, sides.tunable), "utf-8")
    return dataset, path


def test_the_manifest_is_of_those_held_out(manifest: Path, tmp_path: Path) -> None:
    """Wherever it lies, under the data set's own name and with the same image ids."""
    whole, path = held_out(manifest, tmp_path)
    left = open_dataset(path, None)
    sides = split(whole, 0.5)
    assert {image.id for image in left.images} == {image.id for image in sides.held_out}
    assert left.n_seen_dropped == len(sides.tuned)
    assert (left.name, left.prompt, left.contamination) == (whole.name, whole.prompt, "unknown")


def test_a_tuned_patient_s_new_image_is_not_diagnosed(manifest: Path, tmp_path: Path) -> None:
    whole, path = held_out(manifest, tmp_path)
    tuned = patients(split(whole, 0.5).tuned)
    pictures(tmp_path, PATIENTS, per_patient=3)
    assert patients(open_dataset(path, None).images) == set(PATIENTS) - tuned


def test_fewer_images_to_tune_on_leave_the_held_out(manifest: Path, tmp_path: Path) -> None:
    whole = open_dataset(manifest, None)
    few, all_ = split(whole, 0.5, max_images=8), split(whole, 0.5)
    assert few.held_out == all_.held_out
    assert len(few.tuned) == 8
    assert set(few.tuned) < set(all_.tuned)
    assert {image.label for image in few.tuned} == {0, 1}


def test_images_seen_before_stay_out(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(manifest.read_text("utf-8").replace('root = "', 'seen = ["p00_*"]\nroot = "'), "utf-8")
    _, path = held_out(manifest, tmp_path)
    assert not {"dark/p00", "bright/p00"} & patients(open_dataset(path, None).images)
    assert open_dataset(path, None).contamination == "held_out"


@pytest.mark.parametrize(("share", "says"), [(0.0, "0 held out"), (1.0, "0 patients would be tuned on")])
def test_a_side_without_a_class_is_refused(manifest: Path, share: float, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        split(open_dataset(manifest, None), share)
    assert "--held-out" in str(caught.value)
