"""The study of DICOM pictures: nothing wrong, and the page says what was found."""

from __future__ import annotations

import json

from benchmarks import dicom
from benchmarks.drawn_dicom import KINDS


def test_the_page_is_what_was_found() -> None:
    found = json.loads(dicom.RESULTS.read_text("utf-8"))
    assert dicom.PAGE.read_text("utf-8") == dicom.page(found)
    rows = {key: row for key, row in found["rows"]["now"].items() if key in KINDS}
    assert set(rows) == set(KINDS)
    assert sum(row["files"] for row in rows.values()) == found["files"] >= 2000
    assert all(row["wrong"] == row["refused"] == 0 for row in rows.values())
    assert max(row["largest"] for row in rows.values()) == dicom.ALLOWED
