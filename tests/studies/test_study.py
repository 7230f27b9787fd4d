"""The frame of all studies, and that every page is what its study makes of the committed numbers."""

from __future__ import annotations

import argparse
import ast
import json
import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import study
from benchmarks.study import Rows, Study, chosen, dumped, filled, wilson
from tests.places import RESULTS, ROOT

SOURCES = {path.stem: path.read_text("utf-8") for path in sorted((ROOT / "benchmarks").glob("*.py"))}
PAGES = [name for name, source in SOURCES.items() if re.search(r"^STUDY = Study\(.*, page\b", source, re.MULTILINE)]
NO_STUDY = {"study", "drawn_dicom", "gate_page", "simulated_answers"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


# The page of the planner is made by planning.
SLOW = {"planner": pytest.mark.slow}


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in PAGES])
def test_a_page_is_made_of_the_committed_numbers(name: str) -> None:
    frame: Study = import_module(f"benchmarks.{name}").STUDY
    assert frame.text is not None
    assert frame.page.read_text("utf-8") == frame.text(frame.found())


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_results_name_no_folder_of_a_machine(path: Path) -> None:
    assert not re.findall(r"(?<![\w.:/])/(?:home|root|tmp|var|opt|mnt|work|Users)/\S+", path.read_text("utf-8"))


def test_every_benchmark_is_a_study_of_its_name() -> None:
    assert len(PAGES) >= 20
    named = {name: re.findall(r'^STUDY = Study\("(\w+)"', source, re.MULTILINE) for name, source in SOURCES.items()}
    assert {name: [name] for name in SOURCES if name not in NO_STUDY} == {k: v for k, v in named.items() if v}
    assert {path.stem for path in RESULTS.glob("*.json")} <= set(SOURCES) - NO_STUDY


def test_no_benchmark_imports_what_is_slow_at_its_start() -> None:
    slow = {"torch", "transformers", "sklearn", "scipy", "matplotlib"}
    for name, source in SOURCES.items():
        tops = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
        modules = {
            part.partition(".")[0]
            for node in tops
            for part in ([a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        assert not modules & slow, name


@dataclass(frozen=True)
class Cell:
    base: str
    ratio: tuple[int, int] = (50, 50)


def row(base: str, **more: Any) -> dict[str, Any]:
    return {"base": base, "ratio": [50, 50], **more}


def test_rows_are_kept_and_those_with_an_error_are_made_again(tmp_path: Path) -> None:
    cells = [Cell("a"), Cell("b"), Cell("c")]
    rows = Rows(tmp_path / "work", "rows", Cell.__dataclass_fields__)
    rows.fill(cells[:2], lambda cell: row(cell.base, error="no" if cell.base == "b" else None))
    assert rows.missing(cells) == cells[1:]
    assert rows.of(cells) is None
    again = Rows(tmp_path / "work", "rows", Cell.__dataclass_fields__)
    made: list[str] = []

    def make(cell: Cell) -> dict[str, Any]:
        made.append(cell.base)
        return row(cell.base, error=None, second=True)

    again.fill(cells, make)
    assert made == ["b", "c"]
    found = again.of(cells)
    assert found is not None
    assert [one.get("second") for one in found] == [None, True, True]
    assert again.of(reversed(cells)) == found[::-1]


def test_parts_see_each_other_and_a_line_cut_short_is_no_row(tmp_path: Path) -> None:
    first, second = (Rows(tmp_path, "rows", ("base",), part) for part in (1, 2))
    first.add(row("a"))
    second.add(row("b"))
    with (tmp_path / "rows-1.jsonl").open("a") as file:
        file.write('{"base": "c", "rat')
    assert first.missing([Cell("a"), Cell("b"), Cell("c")]) == [Cell("c")]
    first.add(row("c"))
    assert [one["base"] for one in second.all()] == ["a", "c", "b"]


@given(st.integers(0, 60), st.integers(1, 5), st.none() | st.integers(1, 70))
def test_parts_are_the_whole_and_a_limit_is_kept(n: int, of: int, limit: int | None) -> None:
    cells = list(range(n))
    parts = [chosen(cells, (part, of)) for part in range(1, of + 1)]
    assert sorted(cell for part in parts for cell in part) == cells
    few = chosen(cells, limit=limit)
    assert len(few) == (n if limit is None else min(n, limit))
    assert few == sorted(set(few))
    if limit is not None and 2 <= limit < n:
        assert few[-1] >= n - 1 - n // limit


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.loads(dumped(value)) == value


def test_a_record_takes_a_line() -> None:
    text = dumped({"n": 2, "rows": [{"a": [1, 2]}, {"a": []}], "seeds": [1, 2], "by": {7: {"x": 1}}})
    assert text.splitlines() == [
        "{",
        ' "n": 2,',
        ' "rows": [',
        '  {"a": [1, 2]},',
        '  {"a": []}',
        " ],",
        ' "seeds": [1, 2],',
        ' "by": {',
        '  "7": {',
        '   "x": 1',
        "  }",
        " }",
        "}",
    ]


def test_a_page_is_written_of_numbers_as_they_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "RESULTS", tmp_path)
    made = Study("one_two", lambda found: f"{found['pair']}\n", tmp_path / "one-two.md")
    made.publish({"pair": (1, 2)})
    assert made.page.read_text("utf-8") == "[1, 2]\n"
    made.publish({"pair": (3, 4)}, tmp_path / "own.json")
    assert json.loads((tmp_path / "own.json").read_text("utf-8")) == {"pair": [3, 4]}
    assert made.found() == {"pair": [1, 2]}
    made.page.unlink()
    with pytest.raises(SystemExit) as ended:
        made.parser("Words.", "--work").parse_args(["--page"])
    assert not ended.value.code
    assert made.page.read_text("utf-8") == "[1, 2]\n"


def test_pages_of_studies_lie_beside_each_other() -> None:
    assert Study("one_two").page == ROOT / "docs" / "studies" / "one-two.md"


def test_a_shard_is_a_part_of_its_number() -> None:
    given = Study("any").parser(None, "--shard").parse_args(["--shard", "2/3"])
    assert given.shard == (2, 3)
    assert Study("any").parser(None, "--shard").parse_args([]).shard == (1, 1)
    for wrong in ("0/2", "3/2", "2", "a/b"):
        with pytest.raises(argparse.ArgumentTypeError, match="I from 1 to N"):
            study.shard(wrong)


def test_blocks_are_put_anew_and_must_be_there(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Head\n<!-- a -->\nold\n<!-- end -->\nmiddle\n<!-- b -->\nold\n<!-- end -->\n")
    page.write_text(filled(page, a=r"\1 new"))
    assert page.read_text() == ("Head\n<!-- a -->\n\n\\1 new\n\n<!-- end -->\nmiddle\n<!-- b -->\nold\n<!-- end -->\n")
    assert filled(page, a=r"\1 new") == page.read_text()
    with pytest.raises(ValueError, match="needs one block between <!-- c -->"):
        filled(page, c="new")


@given(st.integers(1, 300), st.data())
def test_wilsons_interval_is_that_of_his_formula(n: int, data: st.DataObject) -> None:
    """(p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), Wilson 1927."""
    hits, z = data.draw(st.integers(0, n)), 1.959963984540054
    p = hits / n
    half = z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    bounds = [(p + z**2 / (2 * n) + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
    assert wilson(hits, n) == pytest.approx(bounds, abs=1e-9)


def test_bases_are_those_whose_training_has_ended(tmp_path: Path) -> None:
    for name in ("b-2", "a-1", "half"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    for name in ("b-2", "a-1"):
        (tmp_path / name / "training.json").touch()
    assert study.trained(tmp_path) == ["a-1", "b-2"]
    spec = study.model("a-1", tmp_path, "llm.deaf")
    assert (spec.name, spec.source, spec.fault) == ("a-1", str(tmp_path / "a-1"), "llm.deaf")
    assert study.model("phantom", tmp_path).source != str(tmp_path / "phantom")


def test_images_are_drawn_once(tmp_path: Path) -> None:
    manifest = study.images(tmp_path / "set", 6, 1, seed=1)
    before = manifest.stat().st_mtime_ns
    assert study.images(tmp_path / "set", 6, 1, seed=1) == manifest
    assert manifest.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
