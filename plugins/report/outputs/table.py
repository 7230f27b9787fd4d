"""The comparison as one row a diagnosis: for the page, for Markdown, and with every digit for programs."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from medprobe.diagnostics.judgement.headline import cause_value, headline, settled
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.chain import CHAIN, Health
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.entries import Checkpoint, ReportEntry, Row
from medprobe.plugins.report.outputs.markdown import MENTION, STRUCTURE
from medprobe.plugins.report.sections import subgroups
from medprobe.plugins.report.sections.sentences import verdict_word
from medprobe.plugins.report.text import known, number, shown

BLANK = "\N{EN DASH}"
HEALTH = {
    "vision": "vision",
    "connector": "connector",
    "llm_mean": "llm mean",
    "llm_last": "llm last",
    "answer": "answer",
}
"""Feature Health Scores in the order of the profile, with the words shown; the answer's is its accuracy."""
HEAD = (
    *("model", "data set", "images", "verdict", "finding", "cause", "cause certain"),
    *CHAIN,
    *(f"FHS {name}" for name in HEALTH.values()),
)
FIRST_NUMBER = 7
"""The column of `HEAD` from which all are numbers."""


@dataclass(frozen=True)
class Line:
    entry: ReportEntry
    before: Checkpoint | None


@dataclass(frozen=True)
class TableCell:
    """`value` is what it is sorted by: a number, a text, or none, which comes last."""

    text: str
    value: float | str | None


def datasets_of(entries: list[ReportEntry]) -> list[str]:
    return list(dict.fromkeys(entry.dataset for entry in entries))


def rows_of(entries: list[ReportEntry], ordered: list[Row]) -> list[Line]:
    """The diagnoses in the order of the checkpoints, then of the data sets."""
    found = {(entry.checkpoint, entry.dataset): entry for entry in entries}
    return [
        Line(found[row.checkpoint, dataset], row.before)
        for row in ordered
        for dataset in datasets_of(entries)
        if (row.checkpoint, dataset) in found
    ]


def finite(value: float | None) -> float | None:
    return value if known(value) else None


def signals(diagnosis: Diagnosis) -> list[float | None]:
    """Signal at each place of the chain."""
    return [finite(getattr(diagnosis.signal, place)) if diagnosis.signal else None for place in CHAIN]


def health_scores(health: Health | None) -> list[float | None]:
    return [finite(getattr(health, name)) if health else None for name in HEALTH]


def certain_text(diagnosis: Diagnosis) -> str | None:
    """`yes` or `no`; None where there is no cause to be certain of."""
    return None if cause_value(diagnosis) is None else "no" if settled(diagnosis) is None else "yes"


def cells(line: Line, order: int) -> list[TableCell]:
    """One row of the page's table, a cell for each of `HEAD`; models are sorted by `order`, their place in it."""
    diagnosis = line.entry.diagnosis
    return [
        TableCell(str(line.entry.checkpoint), order),
        TableCell(diagnosis.dataset, diagnosis.dataset),
        TableCell(f"{diagnosis.n_images:,}", diagnosis.n_images) if diagnosis.n_images else TableCell(BLANK, None),
        TableCell(verdict_word(diagnosis), verdict_word(diagnosis)),
        *(
            TableCell(text or BLANK, text or None)
            for text in (headline(diagnosis), cause_value(diagnosis), certain_text(diagnosis))
        ),
        *(TableCell(shown(value, "*", BLANK), value) for value in signals(diagnosis)),
        *(TableCell(number(value, missing=BLANK), value) for value in health_scores(diagnosis.health)),
    ]


def csv_text(lines: list[Line]) -> str:
    """Every number with all its digits, signal as 1.0 for every image right; what was not measured is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    rows = [{name: _unformed(value) for name, value in _record(line).items()} for line in lines]
    buffer = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(buffer, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _unformed(value: object) -> object:
    """OWASP, "CSV Injection": a cell that begins with one of these signs may be run as a formula. Numbers are none."""
    if value is None or isinstance(value, int | float):
        return value
    text = one_line(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _record(line: Line) -> dict[str, object]:
    diagnosis, checkpoint = line.entry.diagnosis, line.entry.checkpoint
    found: dict[str, object] = {
        **checkpoint._asdict(),
        "before": None if line.before is None else str(line.before),
        "dataset": diagnosis.dataset,
        "n_images": diagnosis.n_images or None,
        "verdict": diagnosis.verdict,
        "primary_failure_mode": diagnosis.primary_failure_mode,
        "tied": " ".join(diagnosis.tied),
        "cause": cause_value(diagnosis),
        "cause_certain": None if cause_value(diagnosis) is None else str(settled(diagnosis) is not None).lower(),
        "cause_key": None if diagnosis.cause is None else diagnosis.cause.key,
    }
    for place, value in zip(CHAIN, signals(diagnosis), strict=True):
        low, high = diagnosis.signal_ci.get(place, (None, None))
        found |= {f"signal_{place}": value, f"signal_{place}_low": finite(low), f"signal_{place}_high": finite(high)}
    scores = zip(HEALTH, health_scores(diagnosis.health), strict=True)
    found |= {f"fhs_{name}": value for name, value in scores} | {"error": diagnosis.error}
    # Last, since other data sets have other classes.
    for measure, table in (("sensitivity", diagnosis.sensitivity), ("specificity", diagnosis.specificity)):
        for place, shares in table.items():
            for name, share in shares.items():
                column, (low, high) = one_line(f"{measure}_{place}_{name}"), share.ci
                found |= {column: finite(share.value), f"{column}_low": finite(low), f"{column}_high": finite(high)}
    for name, measured in measures(diagnosis).items():
        if not name.startswith(("sensitivity.", "specificity.")):
            column, (low, high) = one_line(name.replace(".", "_")), measured.ci or (None, None)
            found |= {column: finite(measured.value), f"{column}_low": finite(low), f"{column}_high": finite(high)}
    strata = diagnosis.attributes
    found |= {} if strata is None else {"subgroups": strata.verdict}
    found |= {one_line(name): finite(value) for name, value in subgroups.values(strata, "_")}
    return found


def markdown_text(lines: list[Line]) -> str:
    """Signal in points, as on the page."""
    rows = [[_escaped(cell.text) for cell in cells(line, order)] for order, line in enumerate(lines)]
    rule = ["---" if index < FIRST_NUMBER and index != 2 else "---:" for index in range(len(HEAD))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in [list(HEAD), rule, *rows])
    return f"{table}\n\nSignal in points: 0 is guessing, 100 every image right. \\* below chance.\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, in one line; read by people too, so with backslashes."""
    line = MENTION.sub("\\1\N{WORD JOINER}", one_line(text))
    return STRUCTURE.sub(lambda sign: f"\\{sign[0]}", line)
