"""Which items of a reporting guideline a run fills, and which the team writes itself, from `report.json` alone."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.diagnostics.records.saved import read_report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.report.outputs.rendering import environment
from medprobe.plugins.report.text import interval, joined, percent, plain

FILES = ("checklist.html", "checklist.csv")
Filled = Literal["filled", "in part", "to write"]
LONGEST = 120
"""Characters of a value that is shown; the key says where the whole of it is."""


@dataclass(frozen=True)
class Item:
    """keys: of a diagnosis in `report.json`, or of its `suite`. team: what the team writes."""

    number: str
    topic: str
    keys: tuple[str, ...]
    team: str


@dataclass(frozen=True)
class Guideline:
    name: str
    about: str
    source: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Row:
    item: Item
    filled: Filled
    values: list[tuple[str, str]]
    """Keys with what they hold."""


def guidelines() -> list[Guideline]:
    table = tomllib.loads(Path(__file__).with_name("guidelines.toml").read_text("utf-8"))
    return [
        Guideline(
            name=entry["name"],
            about=entry["about"],
            source=entry["source"],
            items=tuple(Item(number, topic, tuple(keys.split()), team) for number, topic, keys, team in entry["items"]),
        )
        for entry in table["guideline"]
    ]


def rows(guideline: Guideline, diagnosis: Diagnosis, suite: Mapping[str, Any]) -> list[Row]:
    """What a diagnosis says to each item. A key that is null or empty fills nothing."""
    whole = diagnosis.model_dump(mode="json") | {"suite": suite}
    found = []
    for item in guideline.items:
        held = {key: value for key in item.keys if (value := _at(whole, key)) not in (None, "", [], {})}
        filled: Filled = "to write" if not held else "in part" if item.team or len(held) < len(item.keys) else "filled"
        found.append(Row(item, filled, [(key, shown(key, value)) for key, value in held.items()]))
    return found


def shown(key: str, value: Any) -> str:
    """A value in a few words; a large one is named, not printed."""
    if key in ("sensitivity", "specificity"):
        shares = value.get("answer", {})
        return ", ".join(f"{n} {percent(s['value'], 1)} ({interval(s['ci'])})" for n, s in shares.items())
    if key == "confusion":
        return f"a table at each of {joined(value)}"
    if isinstance(value, Mapping) and any(isinstance(part, Mapping | list) for part in value.values()):
        return "in the report"
    if isinstance(value, Mapping):
        value = [f"{name} {plain(part)}" for name, part in value.items() if part is not None]
    if isinstance(value, list):
        value = "; ".join(plain(part) for part in value) if all(isinstance(p, str) for p in value) else len(value)
    text = one_line(plain(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def write(path: Path, folder: Path) -> list[Path]:
    """Write the table of every diagnosis of a report as a page and as CSV. Raises MedprobeError."""
    report = read_report(path)
    found = [(d, [(g, rows(g, d, report.suite)) for g in guidelines()]) for d in report.diagnoses]
    html = environment().get_template("checklist.html").render(diagnoses=found)
    return [write_text(folder / name, text) for name, text in zip(FILES, (html, _csv(report)), strict=True)]


def _csv(report: Report) -> str:
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(("model", "dataset", "guideline", "item", "topic", "filled", "this run", "the team writes"))
    for diagnosis in report.diagnoses:
        for guideline in guidelines():
            for row in rows(guideline, diagnosis, report.suite):
                values = "; ".join(f"{key}: {value}" for key, value in row.values)
                cells = (diagnosis.model, diagnosis.dataset, guideline.name, row.item.number, row.item.topic)
                table.writerow([_inert(cell) for cell in (*cells, row.filled, values, row.item.team)])
    return file.getvalue()


def _inert(cell: str) -> str:
    """What a spreadsheet does not take for a formula."""
    return f"'{cell}" if cell.startswith(tuple("=+-@\t\r")) else cell


def _at(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table
