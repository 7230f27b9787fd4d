"""The frame of every study: its arguments, its rows, its results, its page.

A study is a module beside this one, run as `python -m benchmarks.NAME`. Its numbers are `benchmarks/results/NAME.json`.
Its page is made of these numbers, so `--page` writes it again without measuring.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from medprobe.fixtures.models.registry import ModelSpec

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GUIDES, STUDIES = ROOT / "docs" / "guides", ROOT / "docs" / "studies"
RESULTS = HERE / "results"

Row = dict[str, Any]
Cell = TypeVar("Cell")


class Study:
    """Where the numbers of a study and its page are, and the function that makes the page of the numbers.

    name: of the module. page: the page's file, by default `docs/studies/NAME.md` with hyphens.
    """

    def __init__(self, name: str, text: Callable[[Any], str] | None = None, page: Path | None = None) -> None:
        self.name, self.text = name, text
        self.results = RESULTS / f"{name}.json"
        self.page = page or STUDIES / f"{name.replace('_', '-')}.md"

    def parser(self, doc: str | None, *common: str) -> argparse.ArgumentParser:
        """A parser with the named ones of the `COMMON` arguments, and with `--page` where there is a page."""
        about = (doc or "").partition("\n")[0]
        parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{self.name}", description=about)
        for name in common:
            parser.add_argument(name, **COMMON[name])
        if self.text is not None:
            parser.add_argument("--page", action=_WritePage, study=self)
        return parser

    def found(self) -> Any:
        """The committed numbers."""
        return json.loads(self.results.read_text("utf-8"))

    def publish(self, found: Any, out: Path | None = None) -> None:
        """Write numbers, and the page that is made of them as they are read back; or numbers alone, to `out`."""
        (out or self.results).write_text(dumped(found) + "\n", "utf-8")
        if out is None:
            self.write_page()

    def write_page(self) -> None:
        if self.text is not None:
            self.page.write_text(self.text(self.found()), "utf-8")


class _WritePage(argparse.Action):
    """`--page` ends the program, as `--help` does, whatever else is required."""

    def __init__(self, option_strings: Sequence[str], dest: str, study: Study) -> None:
        says = f"write {study.page.name} again from the committed numbers, measure nothing and exit"
        super().__init__(option_strings, dest=argparse.SUPPRESS, nargs=0, help=says)
        self._study = study

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        self._study.write_page()
        parser.exit(message=f"{self._study.page}\n")


def shard(text: str) -> tuple[int, int]:
    """Part and number of parts of `1/4`, for argparse."""
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= part <= of:
        raise argparse.ArgumentTypeError(f"{text!r} is no I/N with I from 1 to N")
    return part, of


COMMON: dict[str, dict[str, Any]] = {
    "--work": {"type": Path, "required": True, "metavar": "DIR", "help": "folder of rows, images and features"},
    "--bases": {"type": Path, "required": True, "metavar": "DIR", "help": "folder of checkpoints named FAMILY-SEED"},
    "--data-root": {"type": Path, "required": True, "metavar": "DATA", "help": "folder of the published data sets"},
    "--limit": {"type": int, "metavar": "N", "help": "make N rows at most"},
    "--out": {"type": Path, "metavar": "FILE", "help": "write the numbers to FILE, and no page"},
    "--shard": {"type": shard, "default": (1, 1), "metavar": "I/N", "help": "part I of N of the design (default: all)"},
}
"""Arguments that several studies have."""


def chosen(cells: Sequence[Cell], part: tuple[int, int] = (1, 1), limit: int | None = None) -> list[Cell]:
    """The cells of a part, at most `limit` of them, evenly spread over the part."""
    mine = list(cells[part[0] - 1 :: part[1]])
    if limit is None or limit >= len(mine):
        return mine
    return [mine[i * len(mine) // limit] for i in range(limit)]


class Rows:
    """Rows of a study, each a line of WORK/NAME-PART.jsonl, so that a stopped run goes on and parts run side by side.

    A row holds the fields of its cell. A row that has an `error` is made again. A line that was cut short is no row. Of
    several rows of a cell the last one counts.
    """

    def __init__(self, work: Path, name: str, fields: Iterable[str], part: int = 1) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._work, self._name, self._fields = work, name, tuple(fields)
        self._file = work / f"{name}-{part}.jsonl"

    def add(self, row: Row) -> None:
        whole = not self._file.exists() or self._file.read_bytes()[-1:] in (b"", b"\n")
        with self._file.open("a", encoding="utf-8") as file:
            file.write(("" if whole else "\n") + json.dumps(row) + "\n")
        print(textwrap.shorten(json.dumps(row), 300), flush=True)

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that have no row yet, or one with an error."""
        rows = self._read()
        return [cell for cell in cells if self._key(cell) not in rows or rows[self._key(cell)].get("error")]

    def of(self, cells: Iterable[Any]) -> list[Row] | None:
        """The rows of all cells in their order; None while one is missing."""
        rows, keys = self._read(), [self._key(cell) for cell in cells]
        return [rows[key] for key in keys] if all(key in rows for key in keys) else None

    def all(self) -> list[Row]:
        """The rows there are, in the order in which their cells were first made."""
        return list(self._read().values())

    def fill(self, cells: Iterable[Cell], run: Callable[[Cell], Row]) -> None:
        """Make the rows that are missing."""
        for cell in self.missing(cells):
            self.add(run(cell))

    def _read(self) -> dict[str, Row]:
        paths = sorted(self._work.glob(f"{self._name}*.jsonl"))
        lines = [line for path in paths for line in path.read_text("utf-8").splitlines()]
        return {self._key(row): row for line in lines if (row := _parsed(line)) is not None}

    def _key(self, cell: Any) -> str:
        values = asdict(cell) if is_dataclass(cell) and not isinstance(cell, type) else cell
        return json.dumps([values[name] for name in self._fields])


def _parsed(line: str) -> Row | None:
    try:
        row: Row = json.loads(line)
    except ValueError:
        return None
    return row


def dumped(value: Any, depth: int = 0) -> str:
    """JSON in which objects are indented, and an item of a list takes a line unless all are plain values."""
    pad, inner = "\n" + " " * depth, "\n" + " " * (depth + 1)
    if isinstance(value, dict) and value:
        pairs = (f"{json.dumps(str(key))}: {dumped(item, depth + 1)}" for key, item in value.items())
        return "{" + inner + ("," + inner).join(pairs) + pad + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list, tuple)) for item in value):
        return "[" + inner + ("," + inner).join(json.dumps(item, ensure_ascii=False) for item in value) + pad + "]"
    return json.dumps(value, ensure_ascii=False)


def filled(page: Path, **blocks: str) -> str:
    """The text of a page whose blocks, each from `<!-- NAME -->` to `<!-- end -->`, are put anew."""
    text = page.read_text("utf-8")
    for name, block in blocks.items():
        whole = f"<!-- {name} -->\n\n{block}\n\n<!-- end -->".replace("\\", r"\\")
        text, n = re.subn(rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->", whole, text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"{page.name} needs one block between <!-- {name} --> and <!-- end -->, and has {n}")
    return text


def wilson(n_hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 percent interval of a rate (Wilson 1927). Raises ValueError where n is 0."""
    from scipy.stats import binomtest

    found = binomtest(n_hits, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def trained(folder: Path) -> list[str]:
    """Names of the checkpoints in a folder whose training has ended: `training.json` is written last."""
    return sorted(path.parent.name for path in folder.glob("*/training.json"))


def model(base: str, bases: Path, fault: str | None = None) -> ModelSpec:
    """A base by its name: the embedded phantom or a checkpoint in `bases`, with what is planted in it."""
    from medprobe.fixtures.models.registry import ModelSpec, resolve

    source = resolve("phantom").source if base == "phantom" else str((bases / base).resolve())
    return ModelSpec(source, name=base, source=source, fault=fault)


def images(folder: Path, *args: Any, **how: Any) -> Path:
    """The manifest of phantom images in `folder`, drawn once as `draw_dataset` is asked to; parts may ask at once."""
    from medprobe.fixtures.phantoms.images import draw_dataset

    if not (folder / "manifest.toml").exists():
        draft = folder.with_name(f".{folder.name}-{time.monotonic_ns()}")
        draw_dataset(draft, *args, **how)
        if not folder.exists():
            draft.rename(folder)
    return folder / "manifest.toml"


def quiet(*_: object) -> None:
    """Progress that nobody reads."""
