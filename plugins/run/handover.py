"""How the processes of a run hand over to the one that reports: by files in a folder of this run alone.

N.json              the diagnosis of the N-th pair of model and data set
N.predictions.json  its predictions, unless it ended in an error
N.shard             under --shard, what was extracted of it, in a sentence
judged              empty, where diagnoses are asked for: one that is missing was lost with its process
PROCESS.progress    how far a process is, until its work ends
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from medprobe.diagnostics.records.report import Diagnosis, Predictions
from medprobe.fixtures.whole import write_text
from medprobe.plugins.call import Call, Pair

DAY = 86400
JUDGED = "judged"


class Handover:
    """The files of one run, each whole or not there."""

    def __init__(self, call: Call) -> None:
        self.folder = call.handover
        self._pairs = call.pairs

    def begin(self, to_judge: bool) -> None:
        """Before anything is measured; `to_judge` says whether any check takes a diagnosis, so that none need be missed
        where all take less.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if to_judge:
            (self.folder / JUDGED).touch()

    def leave(self, pair: Pair, diagnosis: Diagnosis, predictions: Predictions | None) -> None:
        """Write a diagnosis for the process that reports; its predictions first, so that they are there when it is."""
        if predictions is not None:
            write_text(self._file(pair, ".predictions.json"), predictions.model_dump_json())
        write_text(self._file(pair, ".json"), diagnosis.model_dump_json())

    def diagnoses(self, failed: bool) -> list[Diagnosis]:
        """The diagnoses left, and an error for each that a failed run should have left and did not."""
        return list(self._diagnoses(failed and (self.folder / JUDGED).exists()))

    def _diagnoses(self, failed: bool) -> Iterator[Diagnosis]:
        for pair in self._pairs:
            path = self._file(pair, ".json")
            if path.exists():
                yield Diagnosis.model_validate_json(path.read_bytes())
            elif failed:
                yield Diagnosis(
                    model=pair.model.name,
                    revision=pair.model.revision,
                    dataset=pair.dataset.name,
                    error="not measured: the process that should have done it stopped",
                )

    def predictions(self, diagnosis: Diagnosis) -> Predictions | None:
        """None where the diagnosis ended in an error."""
        path = self._predictions(diagnosis)
        return Predictions.model_validate_json(path.read_bytes()) if path.exists() else None

    def move_predictions(self, diagnosis: Diagnosis, place: Path) -> None:
        """Move the file of predictions, if there is one."""
        path = self._predictions(diagnosis)
        if path.exists():
            path.replace(place)

    def leave_part(self, pair: Pair, sentence: str) -> None:
        write_text(self._file(pair, ".shard"), sentence)

    def parts(self) -> list[str]:
        return [path.read_text("utf-8") for path in sorted(self.folder.glob("*.shard"))]

    def clear(self) -> None:
        """Take the files of this run away, and the folder of all runs with the last."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def sweep(self) -> None:
        """Take away what runs left that did not end, once they have been silent for a day."""
        for left in self.folder.parent.glob("*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > DAY:
                    shutil.rmtree(left, ignore_errors=True)

    def _predictions(self, diagnosis: Diagnosis) -> Path:
        of = (diagnosis.model, diagnosis.dataset)
        pair = next(pair for pair in self._pairs if (pair.model.name, pair.dataset.name) == of)
        return self._file(pair, ".predictions.json")

    def _file(self, pair: Pair, end: str) -> Path:
        return self.folder / f"{self._pairs.index(pair)}{end}"


def progress_file(folder: Path, process: str) -> Path:
    """Where a process says how far it is."""
    return folder / f"{process}.progress"


def progress_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.progress"))
