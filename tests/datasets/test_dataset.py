from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from pydicom.encaps import encapsulate

from medprobe.fixtures.datasets.catalog import resolve
from medprobe.fixtures.datasets.dataset import Dataset, check_dataset, open_dataset
from medprobe.fixtures.datasets.manifest import DataError
from tests.datasets.samples import png, zipped
from tests.faults.corpus import dicom, saved, written

Write = Callable[..., Path]


def patients(n_dark: int, n_bright: int, each: int = 3) -> dict[str, bytes]:
    names = [f"dark/p{patient}_{image}.png" for patient in range(n_dark) for image in range(each)]
    names += [f"bright/q{patient}_{image}.png" for patient in range(n_bright) for image in range(each)]
    return {name: png(seed) for seed, name in enumerate(names)}


PATTERN = "[groups]\npattern = '[pq]\\d+'"


def members(dataset: Dataset) -> set[frozenset[str]]:
    """The grouping by file name."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for image in dataset.images:
        found[image.group].add(image.member or image.path.name)
    return {frozenset(names) for names in found.values()}


def test_images_labels_and_groups(write: Write) -> None:
    manifest = write(
        patients(2, 3) | {"dark/p0_0_mask.png": png(99), "dark/.DS_Store": b"x", "notes.txt": b""}, end=PATTERN
    )
    check_dataset(manifest, None)
    dataset = open_dataset(manifest, None)
    assert (dataset.name, dataset.answers, dataset.synonyms) == ("small", ("dark", "bright"), ((), ("light",)))
    assert Counter(dataset.labels()) == {0: 6, 1: 9}
    assert dataset.n_groups == 5
    assert sorted(set(dataset.groups())) == [0, 1, 2, 3, 4]
    for image in dataset.images:
        assert image.label == ("dark", "bright").index(image.path.parent.name)
        assert image.read_bytes() == image.path.read_bytes()
    assert all(len({name[:2] for name in group}) == 1 for group in members(dataset))
    assert (dataset.n_seen_dropped, dataset.contamination, dataset.n_ungrouped) == (0, "unknown", 0)
    with pytest.raises(FrozenInstanceError):
        dataset.name = "other"  # type: ignore[misc]


def test_names_with_brackets_blanks_and_percent_are_plain_names(write: Write) -> None:
    odd = {f"dark/{name}.png": png(seed) for seed, name in enumerate(("a [1]", "b (2)", "c%20d", "é {x}", "[!z]"))}
    dataset = open_dataset(write(odd | {"bright/1.png": png(9)}), None)
    assert {image.path.name for image in dataset.images} == {"1.png", *(Path(name).name for name in odd)}


def test_the_same_bytes_are_one_group_and_one_id(write: Write) -> None:
    dataset = open_dataset(write({"dark/1.png": png(1), "dark/2.png": png(2), "bright/copy.png": png(1)}), None)
    ids = {image.path.name: image.id for image in dataset.images}
    assert ids["1.png"] == ids["copy.png"] != ids["2.png"]
    assert members(dataset) == {frozenset({"1.png", "copy.png"}), frozenset({"2.png"})}
    assert any("2 images have the same bytes as an image of another class" in note for note in dataset.notes)


def test_copies_join_the_groups_they_lie_in(write: Write) -> None:
    files = {"dark/p1_a.png": png(1), "dark/p1_b.png": png(2), "dark/p2_a.png": png(2), "bright/q1.png": png(3)}
    assert members(open_dataset(write(files, end=PATTERN), None)) == {
        frozenset({"p1_a.png", "p1_b.png", "p2_a.png"}),
        frozenset({"q1.png"}),
    }


def test_images_without_a_group_stand_alone_and_are_counted(write: Write) -> None:
    dataset = open_dataset(write(patients(1, 1) | {"dark/x.png": png(50), "dark/y.png": png(51)}, end=PATTERN), None)
    assert dataset.n_ungrouped == 2
    assert dataset.n_groups == 4


def test_capture_groups_keep_two_numberings_apart(write: Write) -> None:
    files = {"dark/person7_a.png": png(1), "dark/person7_b.png": png(2), "bright/IM-7.png": png(3)}
    pattern = "[groups]\npattern = 'person(\\d+)|IM-(\\d+)'"
    assert open_dataset(write(files, end=pattern), None).n_groups == 2


def test_endings_in_capitals_are_not_left_out(write: Write) -> None:
    """Half of a class was, without a word."""
    files = {f"dark/{n}.{'PNG' if n % 2 else 'png'}": png(n) for n in range(6)} | {"bright/1.png": png(9)}
    manifest = write(files)
    manifest.write_text(manifest.read_text().replace("/*", "/*.png"))
    dataset = open_dataset(manifest, None)
    assert Counter(dataset.labels()) == {0: 6, 1: 1}
    assert dataset.notes == ()


def test_files_of_no_class_are_counted(write: Write, tmp_path: Path) -> None:
    files = patients(2, 2) | {f"dark/{n}.JPG": png(50 + n) for n in range(5)}
    files |= {"dark/p0_0_mask.png": b"", "old/1.png": png(90), "patients.csv": b"", "notes.txt": b"", "a/IM0001": b"x"}
    files |= {"a/IM0002": b"\0" * 128 + b"DICM", "a/1.2.840.1": b"\0" * 128 + b"DICM"}
    manifest = write(files, top='seen = ["old/*"]')
    manifest.write_text(manifest.read_text().replace('/*"]\nexclude', '/*.png"]\nexclude'))
    zipped(tmp_path / "pictures/more.zip", {"tests/x.tiff": b"", "tests/__MACOSX/x.tiff": b""})
    assert open_dataset(manifest, None).notes == (
        "8 files that look like images belong to no class: .JPG x 5, DICOM without an ending x 2, .tiff x 1.",
    )


@pytest.mark.filterwarnings("ignore:left out")
def test_flat_pictures_and_missing_decoders_are_excluded_with_the_reason(write: Write) -> None:
    """What extraction counts against --max-excluded; no model is loaded where a chunk has no other picture."""
    from medprobe.diagnostics.extraction.measurement import TooManyExcluded, _allow, extract_here

    jpeg_ls = dicom("1.2.840.10008.1.2.4.80", PixelData=encapsulate([b"abcd"]))
    jpeg_ls["PixelData"].VR = "OB"
    pixels = {"dark/1.png": saved(Image.new("L", (40, 40), 9), "PNG"), "bright/1.dcm": written(jpeg_ls)}
    dataset = open_dataset(write(pixels), None)
    excluded: dict[str, str] = {}
    assert not list(extract_here(None, dataset, [dataset.images], excluded, None, 8, lambda *_: None))
    reasons = [excluded[image.digest] for image in dataset.images]
    assert "JPEG-LS" in reasons[0]
    assert reasons[1] == "it is flat: all its pixels have one grey level."
    left_out = [(image, excluded[image.digest]) for image in dataset.images]
    with pytest.raises(TooManyExcluded, match=rf"2 of 2 images .*{dataset.images[0].id[:12]}: the DICOM file"):
        _allow(2, 2, left_out, SimpleNamespace(max_excluded=0.01))


def test_ids_follow_bytes_not_names(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(patients(2, 2), end=PATTERN)
    before = open_dataset(manifest, None)
    for path in sorted((tmp_path / "pictures" / "dark").iterdir()):
        path.rename(path.with_name("z_" + path.name.replace("p", "p8")))
    after = open_dataset(manifest, None)
    assert {image.id for image in before.images} == {image.id for image in after.images}
    assert before.fingerprint == after.fingerprint
    monkeypatch.setenv("MEDPROBE_ID_KEY", "secret")
    keyed = open_dataset(manifest, None)
    assert not {image.id for image in keyed.images} & {image.id for image in after.images}
    (tmp_path / "pictures" / "dark" / "new.png").write_bytes(png(77))
    assert {image.id for image in keyed.images} < {image.id for image in open_dataset(manifest, None).images}


def test_the_fingerprint_sees_bytes_labels_and_groups(write: Write, tmp_path: Path) -> None:
    manifest = write(patients(2, 2), end=PATTERN)
    fingerprints = [open_dataset(manifest, None).fingerprint]
    fingerprints.append(open_dataset(write({}), None).fingerprint)
    (tmp_path / "pictures/dark/p0_0.png").rename(tmp_path / "pictures/bright/p0_0.png")
    fingerprints.append(open_dataset(write({}, end=PATTERN), None).fingerprint)
    (tmp_path / "pictures/bright/p0_0.png").write_bytes(png(500))
    fingerprints.append(open_dataset(manifest, None).fingerprint)
    assert len(set(fingerprints)) == 4


def test_seen_images_are_dropped_with_their_copies(write: Write) -> None:
    files = patients(2, 2) | {"bright/copy.png": png(0)}
    dataset = open_dataset(write(files, top='seen = ["dark/p0_0.png", "q1_*.png"]', end=PATTERN), None)
    assert {image.path.name for image in dataset.images} == {Path(name).name for name in files} - {
        "p0_0.png", "copy.png", "q1_0.png", "q1_1.png", "q1_2.png"
    }  # fmt: skip
    assert (dataset.n_seen_dropped, dataset.contamination) == (5, "held_out")
    assert any("1 groups hold both" in note for note in dataset.notes)


def test_a_seen_glob_that_matches_nothing_is_a_mistake(write: Write) -> None:
    with pytest.raises(DataError, match="seen: 'train/"):
        check_dataset(write(patients(1, 1), top='seen = ["train/*"]'), None)


def test_parts_share_no_group_and_are_the_whole(write: Write) -> None:
    files = patients(20, 20, each=2)
    whole = open_dataset(write(files, end=PATTERN), None)
    parts = [
        open_dataset(write({}, top=f"subset = {{part = {part}, of = 3}}", end=PATTERN), None) for part in (1, 2, 3)
    ]
    assert set().union(*(members(part) for part in parts)) == members(whole)
    assert sum(part.n_groups for part in parts) == whole.n_groups == 40
    assert {image.id for part in parts for image in part.images} == {image.id for image in whole.images}
    assert min(part.n_groups for part in parts) >= 5


def test_max_images_takes_whole_groups_in_the_shares_of_the_classes(write: Write) -> None:
    manifest = write(patients(30, 10), end=PATTERN)
    whole = open_dataset(manifest, None)
    some = open_dataset(manifest, None, max_images=41)
    assert len(some.images) == 39
    assert Counter(some.labels()) in ({0: 30, 1: 9}, {0: 27, 1: 12})
    assert members(some) < members(whole)
    assert {image.id for image in some.images} < {image.id for image in whole.images}
    assert some == open_dataset(manifest, None, max_images=41)
    assert members(some) != members(open_dataset(manifest, None, max_images=41, seed=1))
    assert members(open_dataset(manifest, None, max_images=21)) < members(some)
    assert open_dataset(manifest, None, max_images=120) == whole


def test_what_is_drawn_does_not_depend_on_names(write: Write, tmp_path: Path) -> None:
    manifest = write(patients(30, 10), top="subset = {part = 1, of = 2}", end=PATTERN)
    before = open_dataset(manifest, None, max_images=30)
    for path in sorted((tmp_path / "pictures").glob("*/*.png")):
        kind, rest = path.name[0], path.name[1:]
        patient, image = rest.split("_")
        path.rename(path.with_name(f"x{kind}{900 - int(patient)}_{image}"))
    after = open_dataset(manifest, None, max_images=30)
    assert after.fingerprint == before.fingerprint


def test_a_limit_that_leaves_a_class_empty_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match="class 'bright' has no image left"):
        open_dataset(write(patients(3, 3), end=PATTERN), None, max_images=3)


def test_a_file_the_disk_does_not_give_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(patients(2, 2))
    honest = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "p0_1.png":
            raise PermissionError(13, "Permission denied")
        return honest(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    dataset = open_dataset(manifest, None)
    assert len(dataset.images) == 11
    assert len(dataset.unreadable) == 1
    assert dataset.unreadable[0].endswith("p0_1.png")


def test_a_file_that_is_no_image_is_kept_for_the_report(write: Write) -> None:
    dataset = open_dataset(write(patients(1, 1) | {"dark/broken.png": b"not a png"}), None)
    assert "broken.png" in {image.path.name for image in dataset.images}


@pytest.mark.parametrize("check", [check_dataset, open_dataset])
def test_what_is_not_there_is_said(write: Write, tmp_path: Path, check: Callable[..., object]) -> None:
    manifest = write({"dark/1.png": png(1), "bright/.DS_Store": b"", "bright/x_mask.png": png(2)})
    check(manifest, None)
    (tmp_path / "pictures/bright/x_mask.png").unlink()
    with pytest.raises(DataError, match=r"class 'bright' matches no image: looked for bright/\* under"):
        check(manifest, None)
    with pytest.raises(DataError, match=r"'busi' needs --data-root or MEDPROBE_DATA.*busi/Dataset_BUSI_with_GT"):
        check(resolve("busi"), None)
    with pytest.raises(DataError, match=r"'busi' are not there: .*busi/Dataset_BUSI_with_GT"):
        check(resolve("busi"), tmp_path)
    (tmp_path / "pictures").rename(tmp_path / "other")
    with pytest.raises(DataError, match=r"'small' are not there: .*small/pictures nor .*pictures"):
        check(manifest, tmp_path)


def test_an_image_of_two_classes_is_refused(write: Write) -> None:
    manifest = write(patients(1, 1))
    manifest.write_text(manifest.read_text().replace('["bright/*"]', '["bright/*", "dark/p0_1.png"]'))
    with pytest.raises(DataError, match=r"globs of 'dark' and 'bright' both match 1\."):
        check_dataset(manifest, None)


def test_the_data_root_comes_before_the_manifests_folder(write: Write, tmp_path: Path) -> None:
    manifest = write(patients(1, 1))
    elsewhere = tmp_path / "root" / "small" / "pictures"
    for name in ("dark/only.png", "bright/only.png"):
        (elsewhere / name).parent.mkdir(parents=True)
        (elsewhere / name).write_bytes(png(len(name)))
    assert len(open_dataset(manifest, tmp_path / "root").images) == 2
    assert len(open_dataset(manifest, tmp_path / "nowhere").images) == 6


def test_checking_needs_no_numerics(write: Write) -> None:
    code = (
        "import sys; from pathlib import Path; from medprobe.fixtures.datasets.dataset import check_dataset;"
        f"check_dataset(Path({str(write(patients(1, 1), end=PATTERN))!r}), None);"
        "print(*{'numpy', 'torch', 'PIL', 'pydicom', 'scipy', 'transformers'} & set(sys.modules))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
