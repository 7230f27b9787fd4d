"""Every verdict again, from `report.json` and the stored predictions alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medprobe.diagnostics.judgement import least
from medprobe.diagnostics.judgement.curves import recorded_auroc
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.judgement.record import Asked, Predicted, judged_record
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.records.chain import CHAIN, FAILURE_MODES, STAGES
from medprobe.diagnostics.records.report import Diagnosis, Predictions
from medprobe.diagnostics.records.saved import load_report
from medprobe.diagnostics.records.subgroups import Attributes
from medprobe.diagnostics.subgroups.reading import Read, read_strata

TOLERANCE = 1e-9
"""Between sums of one machine's arithmetic and another's."""


def rejudge(diagnosis: Diagnosis, predictions: Predictions) -> Diagnosis:
    """The diagnosis with everything that follows from the predictions worked out anew.

    Retentions and least values asked for, limits of scores and the null's p are taken from the record, the resamples'
    seed from its settings. What needs more than predictions stays as it is: loci chosen, AUROC, the answer's option
    likelihoods, the controls, the comparison with a baseline.
    """
    assert diagnosis.failure_modes is not None
    assert diagnosis.curves is not None
    assert diagnosis.controls is not None
    labels, groups = np.asarray(predictions.labels), np.asarray(predictions.groups)
    seed = diagnosis.settings["seed"]
    read = Predicted(
        labels=labels,
        groups=groups,
        classes=predictions.classes,
        places={place: np.asarray(predictions.places[place]) for place in CHAIN},
        loci={name: np.asarray(values) for name, values in predictions.loci.items()},
        chosen={place: found.loci for place, found in diagnosis.exits.items()},
        resamples=Resamples(labels, groups, len(predictions.classes), seed),
        seed=seed,
    )
    asked = Asked(
        retention={stage: getattr(diagnosis.failure_modes, FAILURE_MODES[stage]).threshold for stage in STAGES},
        least_health={limit.curve: limit.limit for limit in diagnosis.health_limits},
        null_p=diagnosis.controls.null.p,
    )
    _, fields = judged_record(read, asked, recorded_auroc(diagnosis.curves).get)
    found = diagnosis.model_copy(update=fields | {"attributes": _attributes(diagnosis, predictions, read)})
    required = {criterion.name: criterion.least for criterion in diagnosis.least}
    return found.model_copy(update={"least": least.judge(required, measures(found))})


def _attributes(diagnosis: Diagnosis, predictions: Predictions, read: Predicted) -> Attributes | None:
    """The strata judged anew; the attributes' probes stay as they are."""
    recorded = diagnosis.attributes
    if recorded is None:
        return None
    found = read_strata(
        Read(read.labels, read.groups, read.classes, read.places, read.seed), predictions.strata, recorded.margin
    )
    assert found is not None
    probes = {one.name: one.probes for one in recorded.each}
    each = [one.model_copy(update={"probes": probes[one.name]}) for one in found.each]
    return found.model_copy(update={"each": each})


def differences(diagnosis: Diagnosis, predictions: Predictions) -> list[str]:
    """Where the record says something else than its predictions: `place: recorded, repeated`."""
    return list(_differing(diagnosis.model_dump(), rejudge(diagnosis, predictions).model_dump(), ""))


def _differing(recorded: Any, repeated: Any, place: str) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(repeated, dict):
        for key in [*recorded, *(key for key in repeated if key not in recorded)]:
            yield from _differing(recorded.get(key), repeated.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(recorded, list | tuple) and isinstance(repeated, list | tuple) and len(recorded) == len(repeated):
        for index, (one, other) in enumerate(zip(recorded, repeated, strict=True)):
            yield from _differing(one, other, f"{place}[{index}]")
    elif isinstance(recorded, float) and isinstance(repeated, float):
        if not math.isclose(recorded, repeated, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{place}: {recorded:.6g}, repeated {repeated:.6g}"
    elif recorded != repeated:
        yield f"{place}: {recorded}, repeated {repeated}"


def repeated(folder: Path) -> tuple[bool, list[str]]:
    """Whether every diagnosis of a report's folder is repeated, and what to say of each. Raises MedprobeError."""
    report = load_report(folder)
    equal, said = True, []
    for diagnosis in report.diagnoses:
        about = f"{diagnosis.model} on {diagnosis.dataset}"
        predictions = diagnosis.predictions
        if diagnosis.error is not None:
            said.append(f"{about}: an error, nothing to repeat")
            continue
        differing = ["no stored predictions"] if predictions is None else differences(diagnosis, predictions)
        equal = equal and not differing
        said.append(f"{about}: {'differs' if differing else f'{diagnosis.verdict}, repeated'}")
        said += [f"  {line}" for line in differing]
    return equal, said
