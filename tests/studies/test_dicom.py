"""The study of DICOM pictures: nothing wrong."""

from __future__ import annotations

from benchmarks import dicom
from benchmarks.drawn_dicom import KINDS


def test_no_picture_is_wrong() -> None:
    found = dicom.STUDY.found()
    rows = {key: row for key, row in found["rows"]["now"].items() if key in KINDS}
    assert set(rows) == set(KINDS)
    assert sum(row["files"] for row in rows.values()) == found["files"] >= 2000
    assert all(row["wrong"] == row["refused"] == 0 for row in rows.values())
    assert max(row["largest"] for row in rows.values()) == dicom.ALLOWED
