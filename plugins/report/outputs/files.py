"""`report.json`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from medprobe.diagnostics.records.report import Report
from medprobe.fixtures.whole import write_text

FREE = ("settings", "timing")
"""Fields of a diagnosis whose keys no record orders."""


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=str)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _not_finite(value: Any, place: str = "") -> str | None:
    """Where the first number lies that JSON cannot hold."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place
    if isinstance(value, dict):
        items = [(f"{place}.{key}" if place else str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        items = [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    else:
        return None
    return next((found for where, item in items if (found := _not_finite(item, where)) is not None), None)


def report_json(report: Report) -> str:
    """`report.json` as text: records in the order of their fields, free tables sorted by key.

    Raises ValueError, with the place, if a number is NaN or infinite."""
    if (place := _not_finite(report.model_dump())) is not None:
        raise ValueError(f"report.json cannot hold a number that is not finite, and {place} is one: use null.")
    data = report.model_dump(mode="json", by_alias=True)
    data["suite"] = _ordered(data["suite"])
    for diagnosis in data["diagnoses"]:
        diagnosis.update({key: _ordered(diagnosis[key]) for key in FREE})
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_report(report: Report, report_dir: Path | str) -> Path:
    """Writes `report.json` into the folder and returns its path."""
    return write_text(Path(report_dir) / "report.json", report_json(report))
