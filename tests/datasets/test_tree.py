from __future__ import annotations

import stat
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.datasets import tree
from fixtures.datasets.dataset import check_dataset, open_dataset
from fixtures.datasets.manifest import DataError
from fixtures.datasets.tree import Entry, Globs, list_files, read_bytes
from tests.datasets.samples import png, zipped

Write = Callable[..., Path]


def entry(name: str) -> Entry:
    return Entry((name,), Path(name))


segment = st.text(st.characters(exclude_characters="/\\*?\0", exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: text not in (".", "..")
)


@given(st.lists(segment, min_size=1, max_size=4))
def test_a_name_without_stars_matches_itself_and_its_folder_star(parts: list[str]) -> None:
    name = unicodedata.normalize("NFC", "/".join(parts))
    assert Globs([name]).match(entry(name))
    assert not Globs([name]).match(entry(name + "x"))
    assert Globs(["/".join([*parts[:-1], "*"])]).match(entry(name))
    assert Globs(["**"]).match(entry(name))
    assert Globs(["**/" + parts[-1]]).match(entry(name))
    assert not Globs(["*"]).match(entry("folder/" + name))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*/NORMAL/*.jpeg", "train/NORMAL/IM-1.jpeg", True),
        ("*/NORMAL/*.jpeg", "a/train/NORMAL/IM-1.jpeg", False),
        ("**/NORMAL/*.jpeg", "NORMAL/IM-1.jpeg", True),
        ("a/**/b.png", "a/b.png", True),
        ("a/**/b.png", "a/x/y/b.png", True),
        ("a/**/b.png", "ab.png", False),
        ("a/**", "a/x/y", True),
        ("a [1]/?.png", "a [1]/x.png", True),
        ("a[1].png", "a1.png", False),
        ("é.png", "e\u0301.png", False),
        ("e\u0301.png", "é.png", True),
        ("*.png", "x.PNG", False),
    ],
)
def test_globs(pattern: str, name: str, matches: bool) -> None:
    assert Globs([pattern]).match(entry(name)) is matches


def test_a_bare_name_may_match_anywhere() -> None:
    assert Globs(["*_mask*.png"], anywhere=True).match(entry("benign/benign (1)_mask_1.png"))
    assert not Globs(["x/*_mask*.png"], anywhere=True).match(entry("a/x/y_mask.png"))


@pytest.mark.parametrize("inner", ["dark/", ""], ids=["with a folder inside", "flat"])
def test_zip_files_read_like_folders(write: Write, tmp_path: Path, inner: str) -> None:
    names = ("x [1].png", "y%20z.png", "ä.png")
    members = {inner + name: png(seed) for seed, name in enumerate(names)}
    zipped(tmp_path / "pictures/dark.zip", members | {"__MACOSX/dark/._x.png": b"", f"{inner}.DS_Store": b""})
    dataset = open_dataset(write({"bright/1.png": png(9)}), None)
    inside = {image.member: image.read_bytes() for image in dataset.images if image.member}
    assert inside == members
    assert all(image.label == 0 for image in dataset.images if image.member)


def test_a_zip_and_a_folder_give_the_same_data_set(write: Write, tmp_path: Path) -> None:
    files = {f"{name}/{seed}.png": png(seed) for seed, name in enumerate(("dark", "bright") * 3)}
    manifest = write(files)
    on_disk = open_dataset(manifest, None)
    zipped(tmp_path / "pictures/dark.zip", {name: data for name, data in files.items() if "dark" in name})
    both = open_dataset(manifest, None)
    assert both == on_disk
    for path in (tmp_path / "pictures/dark").iterdir():
        path.unlink()
    packed = open_dataset(manifest, None)
    assert packed.fingerprint == on_disk.fingerprint
    assert sum(image.member is not None for image in packed.images) == 3


def test_the_whole_root_may_be_one_archive(write: Write, tmp_path: Path) -> None:
    manifest = write({})
    zipped(
        tmp_path / "small" / "archive.zip",
        {"pictures/dark/1.png": png(1), "pictures/bright/2.png": png(2), "README": b""},
    )
    check_dataset(manifest, tmp_path)
    assert {image.member for image in open_dataset(manifest, tmp_path).images} == {
        "pictures/dark/1.png",
        "pictures/bright/2.png",
    }


@pytest.mark.parametrize("name", ["../dark/x.png", "dark/../../x.png", "/etc/x.png", "C:/x.png", "..\\x.png"])
def test_a_zip_cannot_lead_out(write: Write, tmp_path: Path, name: str) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    zipped(tmp_path / "pictures/more.zip", {name: png(3)})
    with pytest.raises(DataError, match="leads out of the archive"):
        check_dataset(manifest, None)


def test_a_damaged_zip_is_named(write: Write, tmp_path: Path) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2), "more.zip": b"PK\x03\x04 half a download"})
    with pytest.raises(DataError, match=r"more\.zip: the zip file cannot be read"):
        check_dataset(manifest, None)


def test_a_damaged_member_is_unreadable_and_no_crash(write: Write, tmp_path: Path) -> None:
    manifest = write({"bright/1.png": png(2)})
    path = zipped(tmp_path / "pictures/dark.zip", {"1.png": png(3), "2.png": png(4, side=60)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    dataset = open_dataset(manifest, None)
    assert len(dataset.images) == 2
    assert dataset.unreadable == (f"{path}!2.png",)


def test_links_may_point_within_the_root_only(write: Write, tmp_path: Path) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    (tmp_path / "outside.png").write_bytes(png(3))
    pictures = tmp_path / "pictures"
    (pictures / "dark/inner.png").symlink_to(pictures / "bright/1.png")
    (pictures / "dark/loop").symlink_to(pictures)
    assert len(open_dataset(manifest, None).images) == 3
    link = pictures / "dark/outer.png"
    link.symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match=r"a link leads out"):
        check_dataset(manifest, None)
    link.unlink()
    (pictures / "more").symlink_to(tmp_path)
    with pytest.raises(DataError, match="a link leads out"):
        check_dataset(manifest, None)


def test_the_root_itself_may_be_a_link(write: Write, tmp_path: Path) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    (tmp_path / "pictures").rename(tmp_path / "store")
    (tmp_path / "pictures").symlink_to(tmp_path / "store")
    assert len(open_dataset(manifest, None).images) == 2


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.png", "a/z.png", "a/.hidden", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in list_files(tmp_path, ".")] == ["a.png", "a/z.png", "b.png"]


def test_an_archive_is_no_file_of_its_own(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"b.png": b"", "c/d.png": b""})
    (tmp_path / "e.png").write_bytes(b"")
    assert [file.name for file in list_files(tmp_path, ".")] == ["b.png", "c/d.png", "e.png"]


def test_a_zip_that_unpacks_to_far_more_than_it_is_is_refused(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    path = tmp_path / "pictures/more.zip"
    monkeypatch.setattr(tree, "MAX_BYTES", 100_000)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a", "b", "c"):
            archive.writestr(f"{name}.raw", bytes(90_000))
    with pytest.raises(DataError, match=r"unpacks to 270,000 bytes, its largest member to 90,000"):
        check_dataset(manifest, None)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.raw", np.random.default_rng(0).bytes(100_001))
    with pytest.raises(DataError, match="taken for a decompression bomb"):
        check_dataset(manifest, None)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a", "b", "c"):
            archive.writestr(f"{name}.raw", np.random.default_rng(0).bytes(90_000))
    check_dataset(manifest, None)


def test_a_zip_of_too_many_members_is_refused(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    zipped(tmp_path / "pictures/more.zip", {str(number): b"" for number in range(11)})
    monkeypatch.setattr(tree, "MAX_MEMBERS", 10)
    with pytest.raises(DataError, match="has 11 members, more than 10"):
        check_dataset(manifest, None)


def test_a_member_that_says_it_is_smaller_than_it_is_gives_an_error_and_no_more(tmp_path: Path) -> None:
    """The sizes that are refused are those of the directory, and what lies behind it is cut or refused by them."""
    path = tmp_path / "more.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.raw", bytes(1_000_000))
    data = bytearray(path.read_bytes())
    size = (1_000_000).to_bytes(4, "little")
    assert data.count(size) == 2
    path.write_bytes(bytes(data).replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(OSError, match="cannot be unpacked"):
        read_bytes(path, "a.raw")


@pytest.mark.parametrize("trick", ["__MACOSX/dark/x.png", "dark/.x.png", "dark/x.png/", "inner.zip"])
def test_what_looks_like_an_image_and_is_none_is_passed_over(write: Write, tmp_path: Path, trick: str) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    zipped(tmp_path / "pictures/more.zip", {trick: png(3)})
    assert len(open_dataset(manifest, None).images) == 2


def test_names_that_differ_in_case_alone_are_different_files(write: Write, tmp_path: Path) -> None:
    manifest = write({"bright/1.png": png(2)})
    zipped(tmp_path / "pictures/more.zip", {"dark/1.png": png(3), "DARK/1.png": png(4), "dark/1.PNG": png(5)})
    images = open_dataset(manifest, None).images
    assert {image.member for image in images if image.member} == {"dark/1.png", "dark/1.PNG"}


def test_a_link_in_a_zip_is_passed_over(write: Write, tmp_path: Path) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    link = zipfile.ZipInfo("dark/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "pictures/more.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert len(open_dataset(manifest, None).images) == 2
