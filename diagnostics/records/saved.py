"""The report that a run has left, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from medprobe.diagnostics.records.chain import Record
from medprobe.diagnostics.records.report import Predictions, Report
from medprobe.fixtures.errors import MedprobeError

Read = TypeVar("Read", bound=Record)
NAME_IT = "name the report.json in a run's --report-dir"
AGAIN = "diagnose again with this version of medprobe"


def load_report(path: str | Path) -> Report:
    """The report at `path`, a `report.json` or the folder that holds it.

    Each diagnosis holds its predictions where `predictions.json` lies beside its page.

    Raises:
        MedprobeError: a file cannot be read, or is of another version; one sentence.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        place = place / "report.json"
    report = read_report(place)
    files = [_read(found, Predictions, AGAIN) for found in sorted(place.parent.glob("*/predictions.json"))]
    stored = {(found.model, found.dataset): found for found in files}
    held = [
        diagnosis if (found := stored.get((diagnosis.model, diagnosis.dataset))) is None or diagnosis.error is not None
        else diagnosis.with_predictions(found)
        for diagnosis in report.diagnoses
    ]  # fmt: skip
    return report.model_copy(update={"diagnoses": held})


def read_report(path: Path) -> Report:
    """What the file at `path` alone holds. Raises MedprobeError."""
    return _read(path, Report, f"{NAME_IT}, made by this version of medprobe")


def _read(path: Path, record: type[Read], mend: str) -> Read:
    """`mend`: what to do where the file is no such record."""
    try:
        return record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise MedprobeError(f"the report {path.absolute()} cannot be read ({error.strerror}); {NAME_IT}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its start"
        raise MedprobeError(f"{path.absolute()} cannot be read: wrong at {where}: {first['msg']}; {mend}") from None
