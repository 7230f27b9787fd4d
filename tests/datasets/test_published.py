"""The three sets of the paper, as published. They run where `MEDPROBE_DATA` says where they are."""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from medprobe.fixtures.datasets.catalog import resolve
from medprobe.fixtures.datasets.dataset import Dataset, check_dataset, open_dataset
from medprobe.fixtures.datasets.images import open_image
from tests.datasets.samples import zipped


def opened(name: str, published: Path) -> Dataset:
    if not (published / name).is_dir():
        pytest.skip(f"MEDPROBE_DATA holds no {name}")
    return open_dataset(resolve(name), published)


def groups_of(dataset: Dataset) -> dict[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for image in dataset.images:
        found[image.group].append(image.path.name)
    return found


def test_busi(published: Path) -> None:
    dataset = opened("busi", published)
    assert dict(zip(dataset.answers, Counter(dataset.labels()).values(), strict=True)) == {
        "benign": 437, "malignant": 210, "normal": 133
    }  # fmt: skip
    assert not any("_mask" in image.path.name for image in dataset.images)
    assert 590 <= dataset.n_groups <= 610
    assert max(Counter(dataset.groups()).values()) <= 8


def test_busi_groups_hold_pairs_seen_by_eye(published: Path) -> None:
    group = {image.path.stem: image.group for image in opened("busi", published).images}
    for one, other in (
        ("benign (433)", "malignant (145)"),
        ("benign (14)", "benign (331)"),
        ("normal (132)", "normal (20)"),
    ):
        assert group[one] == group[other]
    for one, other in (("malignant (32)", "malignant (95)"), ("malignant (195)", "malignant (96)")):
        assert group[one] != group[other]


def test_covid19_ct(published: Path) -> None:
    dataset = opened("covid19-ct", published)
    assert Counter(dataset.answers[label] for label in dataset.labels()) == {"COVID-19": 349, "non-COVID": 397}
    assert dataset.n_ungrouped == 0
    assert dataset.n_groups == 384
    assert ["1%0.jpg", "1%1.jpg", "1%2.jpg"] in groups_of(dataset).values()


@pytest.mark.parametrize("folder_inside", [True, False])
def test_covid19_ct_from_its_zip_files(published: Path, tmp_path: Path, folder_inside: bool) -> None:
    unpacked = opened("covid19-ct", published)
    source, target = published / "covid19-ct", tmp_path / "covid19-ct"
    (target / "Images-processed").mkdir(parents=True)
    for table in source.glob("*.csv"):
        shutil.copy(table, target)
    for folder in ("CT_COVID", "CT_NonCOVID"):
        members = {path.name: path.read_bytes() for path in (source / "Images-processed" / folder).iterdir()}
        inside = {f"{folder}/{name}" if folder_inside else name: data for name, data in members.items()}
        zipped(target / "Images-processed" / f"{folder}.zip", inside | {f"__MACOSX/{folder}/._0.png": b""})
    packed = open_dataset(resolve("covid19-ct"), tmp_path)
    assert len(packed.images) == 746
    assert packed.fingerprint == unpacked.fingerprint


def test_chest_xray(published: Path) -> None:
    dataset = opened("chest-xray", published)
    n_val = sum(image.path.parts[-3] == "val" for image in dataset.images)
    assert len(dataset.images) - n_val == 5840
    assert n_val in (0, 16)
    groups = {image.path.name: image.group for image in dataset.images}
    assert groups["person1000_bacteria_2931.jpeg"] == groups["person1000_virus_1681.jpeg"]
    assert groups["IM-0115-0001.jpeg"] != groups["NORMAL2-IM-0112-0001.jpeg"]
    assert groups["person1000_virus_1681.jpeg"] != groups["person100_virus_184.jpeg"]
    persons = defaultdict(set)
    for name, group in groups.items():
        persons[name.split("_")[0] if name.startswith("person") else name.rsplit("-", 1)[0]].add(group)
    assert all(len(numbers) == 1 for name, numbers in persons.items() if name.startswith("person"))
    assert dataset.n_ungrouped == 0
    assert all(len({image.label for image in dataset.images if image.group == group}) == 1 for group in range(20))


def test_checking_is_cheap(published: Path) -> None:
    start = time.perf_counter()
    for name in ("busi", "covid19-ct", "chest-xray"):
        if (published / name).is_dir():
            check_dataset(resolve(name), published)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("name", ["busi", "covid19-ct"])
def test_every_image_opens(published: Path, name: str) -> None:
    assert {open_image(image).mode for image in opened(name, published).images} == {"RGB"}
