"""What notebooks and scripts call; `medprobe` exports it."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from medprobe.diagnostics.diagnosis import diagnosis_of
from medprobe.diagnostics.extraction.measurement import Progress
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.subject import Subject, silent
from medprobe.fixtures.errors import MedprobeError
from medprobe.plugins import project
from medprobe.plugins.call import resolve
from medprobe.plugins.named_options import parse


def diagnose(model: str | Path, dataset: str | Path, *, progress: Progress = silent, **options: Any) -> Diagnosis:
    """The diagnosis of one model on one data set: what `report.json` holds of it, with its predictions.

    Args:
        model: as `--model`: an alias, a checkpoint folder, or a hub id.
        dataset: as `--dataset`: a name, or the path of a manifest.
        progress: called as `progress(what, done, total)` while work is done.
        options: the options of the command line, with underscores: `max_images=60, against="base"`. Defaults, the
            variables of the environment and `medprobe.toml` of the working folder count as they do there; hooks of a
            conftest.py do not, and no report is written.

    Raises:
        MedprobeError: the call is wrong, or the model cannot be measured; one sentence.
    """
    folder = Path.cwd()
    try:
        call = resolve(parse(model, dataset, options), folder, project.read(folder))
    except project.CallError as error:
        raise MedprobeError(one_line(str(error))) from None
    if len(call.pairs) > 1:
        names = ", ".join(pair.dataset.asked for pair in call.pairs)
        raise MedprobeError(f"{dataset} holds several findings, each a data set: name one of {names}")
    (pair,) = call.pairs
    asked = ModelOnDemand(pair.model, call.settings_of(pair))
    subject = Subject(asked, pair.dataset.name, pair.dataset.manifest, lambda: nullcontext(progress))
    return diagnosis_of(subject, call.baseline.get(pair))
