"""Models by data sets, from the `report.json` of one or many runs and machines, without any model.

`comparison.html`, the same table as `comparison.csv` and `comparison.md`, and every curve, before and after tuning, in
`curves.html`.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from medprobe.diagnostics.records.saved import read_report
from medprobe.fixtures.errors import MedprobeError
from medprobe.fixtures.whole import write_text
from medprobe.plugins.report.entries import ReportEntry, cautions, lineage, merge
from medprobe.plugins.report.outputs import matrix
from medprobe.plugins.report.outputs.rendering import TEMPLATES, environment
from medprobe.plugins.report.outputs.table import csv_text, markdown_text, rows_of
from medprobe.plugins.report.pictures import curve_grid
from medprobe.plugins.report.sections.page import folder_names

FILES = ("comparison.html", "comparison.csv", "comparison.md", "curves.html")


def entries_of(path: Path, folder: Path) -> list[ReportEntry]:
    """The diagnoses of a report, each with the way from `folder` to its page where that is there. Raises
    MedprobeError.
    """
    report = read_report(path)
    pages = [path.parent / name / "index.html" for name in folder_names(report)]
    hrefs = [quote(Path(os.path.relpath(page, folder)).as_posix()) if page.is_file() else None for page in pages]
    return list(map(ReportEntry, report.diagnoses, hrefs))


def write(entries: list[ReportEntry], folder: Path, notes: Sequence[str] = ()) -> list[Path]:
    """Writes the page, the two tables and the page of curves. `notes` are shown above table and curves."""
    ordered = lineage(entries)
    script = (TEMPLATES / "sort.js").read_text("utf-8")
    jinja, told = environment(), [*notes, *cautions(entries)]
    html = jinja.get_template("comparison.html").render(
        **matrix.view(entries, ordered),
        notes=told,
        script=script,
        # Of the text between the tags, so that this script runs and no other.
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
    rows = rows_of(entries, ordered)
    curves = jinja.get_template("curves.html").render(**curve_grid.view(entries, ordered), notes=told)
    texts = (html, csv_text(rows), markdown_text(rows), curves)
    return [write_text(folder / name, text) for name, text in zip(FILES, texts, strict=True)]


def remove(folder: Path) -> None:
    """Takes away what an earlier run wrote, which says nothing of this one."""
    for name in FILES:
        (folder / name).unlink(missing_ok=True)


def compare(paths: Sequence[Path], folder: Path) -> tuple[list[Path], list[str]]:
    """Writes the comparison of the reports; the files, and what is to be said. Raises MedprobeError."""
    entries, notes = merge((str(path), entries_of(path, folder)) for path in paths)
    if not entries:
        raise MedprobeError(f"nothing was diagnosed in {', '.join(map(str, paths))}; name the report of another run")
    try:
        return write(entries, folder, notes), [*notes, *cautions(entries)]
    except OSError as error:
        raise MedprobeError(
            f"the comparison cannot be written to {folder} ({error.strerror}); name another folder with --out"
        ) from None
