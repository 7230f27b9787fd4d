from __future__ import annotations

import io
import re
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.fixtures.datasets import archives
from medprobe.fixtures.datasets.dataset import check_dataset, open_dataset
from medprobe.fixtures.datasets.manifest import DataError
from medprobe.fixtures.datasets.tree import Entry, Globs, list_files, read_bytes
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
        ("*.png", "x.PNG", True),
        ("*.PNG", "x.png", True),
        ("a/x.png", "a/x.PNG", True),
        ("a/x.png", "a/X.png", False),
        ("A/*.png", "a/x.png", False),
        ("*_mask*", "x_MASK.png", False),
        ("*.j?g", "x.JPG", True),
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


KINDS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def tarred(path: Path, members: dict[str, bytes], **extra: tarfile.TarInfo) -> Path:
    """A tar file; `extra` are members without bytes, such as links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = path.name[path.name.index(".") :]
    with tarfile.open(path, KINDS[ending]) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra.values():
            archive.addfile(info)
    return path


def linked(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("ending", KINDS)
def test_tar_files_are_read_as_zip_files_are(write: Write, tmp_path: Path, ending: str) -> None:
    manifest = write({"bright/1.png": png(9)})
    members = {"./dark/b.png": png(1), "dark/a.png": png(2), "dark/._a.png": b"", "dark/c.png": png(3)}
    links = {
        "hard": linked("dark/d.png", "dark/a.png", tarfile.LNKTYPE),
        "soft": linked("dark/e.png", "/etc/passwd", tarfile.SYMTYPE),
        "lost": linked("dark/f.png", "dark/none.png", tarfile.LNKTYPE),
    }
    tarred(tmp_path / f"pictures/dark{ending}", members, **links)
    dataset = open_dataset(manifest, None)
    found = {Path(image.member).name: image.read_bytes() for image in dataset.images if image.member is not None}
    assert found == {"a.png": png(2), "b.png": png(1), "c.png": png(3), "d.png": png(2)}
    assert all(image.label == 0 for image in dataset.images if image.member is not None)


def test_the_whole_root_may_be_one_tar_file(write: Write, tmp_path: Path) -> None:
    manifest = write({})
    tarred(tmp_path / "small/a.tar.gz", {"pictures/dark/1.png": png(1), "pictures/bright/2.png": png(2)})
    assert len(open_dataset(manifest, tmp_path).images) == 2


@pytest.mark.parametrize("name", ["../dark/x.png", "dark/../../x.png", "/etc/x.png", "C:/x.png"])
def test_a_tar_file_cannot_lead_out(write: Write, tmp_path: Path, name: str) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    tarred(tmp_path / "pictures/more.tar", {name: png(3)})
    with pytest.raises(DataError, match="leads out of the archive"):
        check_dataset(manifest, None)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz"])
def test_a_damaged_tar_file_is_named(write: Write, tmp_path: Path, ending: str) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    path = tarred(tmp_path / f"pictures/more{ending}", {"dark/x.png": png(3, side=90)})
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"more\.tar(\..z)?: the tar file cannot be read"):
        check_dataset(manifest, None)


def test_a_tar_file_that_unpacks_to_far_more_than_it_is_is_refused(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write({"dark/1.png": png(1), "bright/1.png": png(2)})
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    tarred(tmp_path / "pictures/more.tar.gz", {"a.raw": bytes(3_000_000)})
    with pytest.raises(DataError, match=r"unpacks to more than .* taken for a decompression bomb"):
        check_dataset(manifest, None)


def test_members_of_a_tar_file_are_read_by_many_threads(tmp_path: Path) -> None:
    members = {f"{number}.png": png(number) for number in range(40)}
    files = list_files(tarred(tmp_path / "a.tar.gz", members).parent, ".")
    with ThreadPoolExecutor(8) as pool:
        assert dict(zip((file.name for file in files), pool.map(Entry.read_bytes, files), strict=True)) == members


def test_deflate64_is_named_with_the_mend(write: Write, tmp_path: Path) -> None:
    manifest = write({"bright/1.png": png(2)})
    path = zipped(tmp_path / "pictures/dark.zip", {"1.png": png(3), "2.png": png(4)})
    data = path.read_bytes()
    for head, n_between in ((b"PK\x03\x04", 4), (b"PK\x01\x02", 6)):  # before the number of the method
        data = re.sub(rb"(%b(?s:.{%d}))(?s:..)" % (head, n_between), rb"\g<1>" + b"\x09\x00", data)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"dark\.zip: 2 of its files are packed by Deflate64.*7z x dark\.zip"):
        check_dataset(manifest, None)


def test_nested_archives_are_named_with_the_mend(write: Write, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", {"dark/1.png": png(1)}).read_bytes()
    manifest = write({"bright/1.png": png(2), "more.rar": b"Rar!"})
    zipped(tmp_path / "pictures/outer.zip", {"inner.zip": inner})
    with pytest.raises(DataError, match=r"'dark' matches no image.*not looked into, .*\.zip x 1.*: unpack them"):
        check_dataset(manifest, None)
    notes = open_dataset(write({"dark/1.png": png(3)}), None).notes
    assert any("not looked into" in note and ".rar x 1" in note and ".zip x 1" in note for note in notes)


def raw_names(path: Path, members: dict[bytes, bytes]) -> None:
    """A zip file with names as bytes, without a word on their encoding."""
    marks = {f"{index:0{len(name)}d}".encode(): name for index, name in enumerate(members)}
    zipped(path, {mark.decode(): members[name] for mark, name in marks.items()})
    data = path.read_bytes()
    for mark, name in marks.items():
        data = data.replace(mark, name)
    path.write_bytes(data)


def test_names_in_gbk_are_named_with_the_mend_and_bare_utf8_is_read(write: Write, tmp_path: Path) -> None:
    manifest = write({"bright/1.png": png(2)})
    manifest.write_text(manifest.read_text("utf-8").replace('"dark/*"', '"肺炎病例/*"'), "utf-8")
    path = tmp_path / "pictures/all.zip"
    raw_names(path, {"肺炎病例/图.png".encode("gbk"): png(1), "肺炎病例/图二.png".encode("gbk"): png(3)})
    with pytest.raises(
        DataError, match=r"all\.zip has 2 names that are not Unicode, perhaps GBK.*unzip -O GBK all\.zip"
    ):
        check_dataset(manifest, None)
    raw_names(path, {"肺炎病例/图.png".encode(): png(1), "肺炎病例/图二.png".encode(): png(3)})
    assert sum(image.label == 0 for image in open_dataset(manifest, None).images) == 2


def test_links_that_stay_under_the_data_root_are_followed(write: Write, tmp_path: Path) -> None:
    manifest = write({})
    root, pool = tmp_path / "data/small/pictures", tmp_path / "data/pool"
    for folder in (root, pool / "bright"):
        folder.mkdir(parents=True)
    for number in range(3):
        (pool / f"{number}.png").write_bytes(png(number))
        (pool / f"bright/{number}.png").write_bytes(png(10 + number))
    (root / "dark").mkdir()
    for number in range(3):
        (root / f"dark/{number}.png").symlink_to(pool / f"{number}.png")
    (root / "bright").symlink_to(Path("../../pool/bright"))
    (pool / "bright/back").symlink_to(root)
    assert len(open_dataset(manifest, tmp_path / "data").images) == 6
    (root / "dark/out.png").symlink_to(manifest)
    with pytest.raises(DataError, match="a link leads out"):
        check_dataset(manifest, tmp_path / "data")


def test_a_linked_folder_is_found_under_both_names(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z/1.png").write_bytes(png(1))
    (tmp_path / "a").symlink_to(tmp_path / "z")
    assert [file.name for file in list_files(tmp_path, ".")] == ["a/1.png", "z/1.png"]


def test_links_between_folders_do_not_multiply(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(9)]
    for folder in folders:
        folder.mkdir()
        (folder / "1.png").write_bytes(b"")
    for folder in folders:
        for other in folders:
            (folder / f"to{other.name}").symlink_to(other)
    (tmp_path / "self").symlink_to("self")
    assert len(list_files(tmp_path, ".")) < 9 * 9 * 10


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
    monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
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
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
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
