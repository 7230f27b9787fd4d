from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.fixtures.datasets.dataset import Dataset, check_dataset, open_dataset
from medprobe.fixtures.datasets.groups import Union, meet
from medprobe.fixtures.datasets.manifest import DataError
from tests.datasets.samples import png, zipped

Write = Callable[..., Path]
TABLE = """
[[groups.tables]]
file = "one.csv"
image = "File name"
group = "Patient ID"
"""
TABLES = (
    TABLE
    + """
[[groups.tables]]
file = "two.csv"
image = "image"
group = "who"
"""
)


def together(dataset: Dataset) -> set[frozenset[str]]:
    """The groups of more than one image, by file name."""
    by_group: dict[int, set[str]] = {}
    for image in dataset.images:
        by_group.setdefault(image.group, set()).add(Path(image.member or image.path).name)
    return {frozenset(names) for names in by_group.values() if len(names) > 1}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=15))
def test_joining_is_reachability(pairs: list[tuple[int, int]]) -> None:
    union = Union(10)
    near: dict[int, set[int]] = {item: {item} for item in range(10)}
    for one, other in pairs:
        union.join(one, other)
        merged = near[one] | near[other]
        near.update(dict.fromkeys(merged, merged))
    numbers = union.numbers()
    assert {(a, b) for a in range(10) for b in range(10) if numbers[a] == numbers[b]} == {
        (a, b) for a in range(10) for b in near[a]
    }
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


def test_two_tables_with_their_own_columns(write: Write) -> None:
    files = {f"dark/{name}": png(seed) for seed, name in enumerate(("1%0.png", "1%1.png", "b.png"))}
    files |= {f"bright/{name}": png(10 + seed) for seed, name in enumerate(("c.jpg", "d.jpg", "e.jpg"))}
    files["one.csv"] = (
        b"File name,Age,Patient ID,,\n1%0.png,4,Patient 1,,\n1%1.png,4,Patient 1,,\nb.png,5,Patient 2,,\n"
    )
    files["two.csv"] = b",image,who\n0,c.jpg,p_0\n1,d.jpg,p_1\n2,e.jpg,p_1\n"
    dataset = open_dataset(write(files, end=TABLES), None)
    assert together(dataset) == {frozenset({"1%0.png", "1%1.png"}), frozenset({"d.jpg", "e.jpg"})}
    assert (dataset.n_groups, dataset.n_ungrouped) == (4, 0)


@pytest.mark.parametrize(
    ("listed", "on_disk"),
    [
        ("a b.png", "a b.png"),
        (" a b.png ", "a b.png"),
        ("a  b.PNG", "A b.png"),
        ("a%20b.png", "a b.png"),
        ("a b.png", "a%20b.png"),
        ("a b", "a b.png"),
        ("a b.jpg", "a b.png"),
        ("dark/a b.png", "a b.png"),
        ("dark\\a b.png", "a b.png"),
        ("u\u0308ber.png", "über.png"),
        ("2020.01.24.919183-p27-132", "2020.01.24.919183-p27-132.png"),
    ],
)
def test_names_in_tables_may_be_spelt_otherwise(write: Write, listed: str, on_disk: str) -> None:
    files = {f"dark/{on_disk}": png(1), "dark/x.png": png(2), "bright/y.png": png(3)}
    files["one.csv"] = f"File name,Patient ID\n{listed},P\nx.png,P\ny.png,Q\n".encode()
    dataset = open_dataset(write(files, end=TABLE), None)
    assert together(dataset) == {frozenset({on_disk, "x.png"})}
    assert dataset.n_ungrouped == 0


def test_the_strictest_spelling_wins(write: Write) -> None:
    files = {"dark/1%0.png": png(1), "dark/1%00.png": png(2), "dark/a.b.png": png(3), "dark/a.c.png": png(4)}
    files |= {"dark/s.png": png(6), "dark/s.jpg": png(7), "bright/y.png": png(5)}
    files["one.csv"] = b"File name,Patient ID\n1%0.png,1\n1%00.png,2\na.b.png,3\na.c.png,4\ns.png,6\ns.jpg,7\ny.png,5\n"
    dataset = open_dataset(write(files, end=TABLE), None)
    assert together(dataset) == set()
    assert dataset.n_ungrouped == 0


def test_images_that_no_row_names_are_counted(write: Write) -> None:
    files = {"dark/1.png": png(1), "dark/2.png": png(2), "bright/3.png": png(3), "bright/4.png": png(4)}
    files["one.csv"] = b"File name,Patient ID\n1.png,P\n3.png,P\n4.png,\n9.png,P\n"
    dataset = open_dataset(write(files, end=TABLE), None)
    assert together(dataset) == {frozenset({"1.png", "3.png"})}
    assert (dataset.n_groups, dataset.n_ungrouped) == (3, 2)


def test_one_name_of_two_patients_keeps_them_together(write: Write) -> None:
    files = {"dark/1.png": png(1), "dark/2.png": png(2), "bright/1.png": png(3), "bright/4.png": png(4)}
    files["one.csv"] = b"File name,Patient ID\n1.png,P\n1.png,Q\n2.png,P\n4.png,Q\n"
    assert open_dataset(write(files, end=TABLE), None).n_groups == 1


def test_folders_in_a_table_tell_equal_names_apart(write: Write) -> None:
    files = {"dark/1.png": png(1), "dark/2.png": png(2), "bright/1.png": png(3), "bright/2.png": png(4)}
    files["one.csv"] = b"File name,Patient ID\ndark/1.png,P\nbright/1.png,Q\ndark/2.png,P\nbright/2.png,Q\n"
    assert open_dataset(write(files, end=TABLE), None).n_groups == 2


@pytest.mark.parametrize(
    "table",
    [
        "\ufeffFile name;Patient ID\n1.png;P\n2.png;P\n".encode(),
        b"Patient ID\tFile name\r\nP\t1.png\r\nP\t2.png\r\n",
        "File name,Patient ID\n1.png,J\xe9r\xf4me\n2.png,J\xe9r\xf4me\n".encode("cp1252"),
        b'File name,Note,Patient ID\n1.png,"two\nlines, a comma",P\n2.png,,P\n',
    ],
    ids=["semicolons and BOM", "tabs and CRLF", "cp1252", "quoted line break"],
)
def test_tables_as_spreadsheets_write_them(write: Write, table: bytes) -> None:
    files = {"dark/1.png": png(1), "dark/2.png": png(2), "bright/3.png": png(3), "one.csv": table}
    assert together(open_dataset(write(files, end=TABLE), None)) == {frozenset({"1.png", "2.png"})}


def test_tables_and_images_may_both_lie_in_one_archive(write: Write, tmp_path: Path) -> None:
    table = b"File name,Patient ID\n1.png,P\n2.png,P\n"
    members = {"dark/1.png": png(1), "dark/2.png": png(2), "bright/3.png": png(3), "one.csv": table}
    zipped(tmp_path / "pictures/all.zip", members)
    assert together(open_dataset(write({}, end=TABLE), None)) == {frozenset({"1.png", "2.png"})}


def test_a_table_that_is_not_there_or_lacks_a_column(write: Write) -> None:
    files = {"dark/1.png": png(1), "bright/2.png": png(2)}
    with pytest.raises(DataError, match=r"group table 'one\.csv' is not under"):
        check_dataset(write(files, end=TABLE), None)
    with pytest.raises(DataError, match=r"one\.csv: the group table has no column 'Patient ID'; it has File name, who"):
        check_dataset(write(files | {"one.csv": b"File name,who\n"}, end=TABLE), None)


def test_rules_add_up(write: Write) -> None:
    files = {f"dark/p{patient}_{n}.png": png(10 * patient + n) for patient in (1, 2, 3) for n in (0, 1)}
    files |= {"bright/q.png": png(99), "one.csv": b"File name,Patient ID\np1_0.png,A\np2_1.png,A\n"}
    dataset = open_dataset(write(files, end="[groups]\npattern = 'p\\d'" + TABLE), None)
    assert together(dataset) == {
        frozenset({"p1_0.png", "p1_1.png", "p2_0.png", "p2_1.png"}),
        frozenset({"p3_0.png", "p3_1.png"}),
    }
    assert dataset.n_ungrouped == 1


def test_rows_meet_files_by_their_longest_common_ending(write: Write) -> None:
    """CheXpert's own table names a folder above its root, and its files have four names only."""
    files, rows = {}, ["File name,Patient ID"]
    for patient in range(6):
        folder = "dark" if patient < 3 else "bright"
        for study in (1, 2):
            files[f"{folder}/patient{patient}/study{study}/view1.jpg"] = png(10 * patient + study)
            rows.append(f"CheXpert-v1.0-small/{folder}/patient{patient}/study{study}/view1.jpg,P{patient}")
    rows += [f"CheXpert-v1.0-small/dark/patient{n}/study1/view1.jpg,P{n}" for n in (70, 71)]  # not on disk
    files["dark/patient99/study1/view1.jpg"] = png(99)  # in no row
    files["one.csv"] = "\n".join(rows).encode()
    manifest = write(files, end=TABLE)
    manifest.write_text(manifest.read_text().replace('"dark/*"', '"dark/**"').replace('"bright/*"', '"bright/**"'))
    dataset = open_dataset(manifest, None)
    assert (len(dataset.images), dataset.n_groups, dataset.n_ungrouped) == (13, 7, 1)


@pytest.mark.parametrize(
    ("images", "rows", "groups"),
    [
        (["a/1.png", "b/1.png"], [("x/a/1.png", "P"), ("y/b/1.png", "Q")], [{"P"}, {"Q"}]),
        (["p1/v.png", "p2/v.png"], [("train/p1/v.png", "P"), ("valid/p2/v.png", "Q")], [{"P"}, {"Q"}]),
        (["data/train/p1/v.png"], [("root/train/p1/v.png", "P"), ("root/valid/p1/v.png", "Q")], [{"P"}]),
        (["a/1.png", "b/1.png"], [("c/1.png", "P")], [set(), set()]),
        (["a/1.png"], [("c/1.png", "P"), ("d/1.png", "Q")], [set()]),
        (["images_001/1.png"], [("images/1.png", "P")], [{"P"}]),
        (["a/1.png", "b/1.png"], [("1.png", "P"), ("b/1.png", "Q")], [{"P"}, {"Q"}]),
        (["a/1.png", "b/2.png"], [("\\\\host\\share\\a\\1.png", "P"), ("./b/2.png", "Q")], [{"P"}, {"Q"}]),
        (["a/11.png"], [("1.png", "P")], [set()]),
    ],
)
def test_endings(images: list[str], rows: list[tuple[str, str]], groups: list[set[str]]) -> None:
    assert [set(found) for found in meet([(name,) for name in images], rows)] == groups


names = st.lists(st.sampled_from("ab1"), min_size=1, max_size=4).map("/".join)


@given(st.lists(names, max_size=6, unique=True), st.lists(st.tuples(names, st.sampled_from("PQR")), max_size=6))
def test_an_image_is_met_by_no_row_that_another_row_meets_better(
    images: list[str], rows: list[tuple[str, str]]
) -> None:
    def common(one: str, other: str) -> int:
        pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), min(one.count("/"), other.count("/")) + 1)

    for image, found in zip(images, meet([(name,) for name in images], rows), strict=True):
        longest = max((common(image, row) for row, _ in rows), default=0)
        best = {group for row, group in rows if common(image, row) == longest > 0}
        assert found <= best
        if (image, "P") in rows:
            assert "P" in found


@pytest.mark.parametrize("check", [check_dataset, open_dataset])
def test_rules_that_place_nothing_are_refused(write: Write, check: Callable[..., object]) -> None:
    files = {f"dark/p{n}_0.png": png(n) for n in range(4)} | {f"bright/q{n}_0.png": png(10 + n) for n in range(4)}
    with pytest.raises(DataError, match=r"groups\.pattern: 'pateint' is found in no image's path.* like '.*/.*'"):
        check(write(files, end="[groups]\npattern = 'pateint'"), None)
    table = "File name,Patient ID\n" + "".join(f"scans/x{n}.png,{n}\n" for n in range(4))
    with pytest.raises(DataError, match=r"table 'one\.csv' places no image.*'scans/x0\.png', and the images '.*/.*'"):
        check(write(files | {"one.csv": table.encode()}, end=TABLE), None)
    with pytest.raises(DataError, match=r"places no image.* like none at all"):
        check(write(files | {"one.csv": b"File name,Patient ID\n"}, end=TABLE), None)


def test_examples_in_messages_hold_no_patient(write: Write) -> None:
    patients = ("SMITH_JOHN", "DOE_JANE", "ROE_RICHARD", "PUBLIC_JOE", "LOW_LEE")
    files = {f"{'dark' if n < 3 else 'bright'}/{name}/1234.png": png(n) for n, name in enumerate(patients)}
    manifest = write(files, end="[groups]\npattern = 'none'")
    manifest.write_text(manifest.read_text().replace('"dark/*"', '"dark/**"').replace('"bright/*"', '"bright/**"'))
    with pytest.raises(DataError, match=r"like '(dark|bright)/\*/0000\.png'") as caught:
        check_dataset(manifest, None)
    assert not any(name in str(caught.value) for name in patients)


@pytest.mark.parametrize(("n_unplaced", "said"), [(0, False), (1, False), (3, True)])
def test_a_share_of_unplaced_images_is_a_note(write: Write, n_unplaced: int, said: bool) -> None:
    files = {f"dark/p{n}.png": png(n) for n in range(25)} | {f"bright/q{n}.png": png(100 + n) for n in range(25)}
    files |= {f"dark/x{n}.png": png(200 + n) for n in range(n_unplaced)}
    dataset = open_dataset(write(files, end="[groups]\npattern = '[pq]\\d+'"), None)
    assert dataset.n_ungrouped == n_unplaced
    assert any("placed in no group" in note for note in dataset.notes) is said
