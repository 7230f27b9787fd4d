from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.datasets.dataset import Dataset, check_dataset, open_dataset
from fixtures.datasets.groups import Union
from fixtures.datasets.manifest import DataError
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
