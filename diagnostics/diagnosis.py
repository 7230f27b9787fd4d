"""One model on one data set: from features and answers to a diagnosis."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from medprobe.diagnostics.baselines.baseline import Match
from medprobe.diagnostics.baselines.by_stratum import with_strata
from medprobe.diagnostics.baselines.regression import record
from medprobe.diagnostics.causes.cause import find_cause
from medprobe.diagnostics.causes.joined import joined
from medprobe.diagnostics.controls.run import run as run_controls
from medprobe.diagnostics.counterfactuals import ask_again
from medprobe.diagnostics.counterfactuals.pixels import Moments, pixels
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.measurement import OPTIONS, Progress
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.grounding.hide_lesions import ground, shortcut
from medprobe.diagnostics.judgement import least
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.judgement.record import Asked, Predicted, judge_chain, judged_record
from medprobe.diagnostics.judgement.repeats import exits_by_fold_seed
from medprobe.diagnostics.judgement.verdicts import Judgement
from medprobe.diagnostics.last_link.agreement import disagreement
from medprobe.diagnostics.last_link.reading import read_answer
from medprobe.diagnostics.last_link.scores import read_scores
from medprobe.diagnostics.probes.loci import REFERENCE_LOCUS
from medprobe.diagnostics.records.chain import Reference
from medprobe.diagnostics.records.report import Diagnosis, Excluded, Predictions
from medprobe.diagnostics.records.subgroups import Attributes
from medprobe.diagnostics.scores import auroc
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.subgroups.probes import with_probes
from medprobe.diagnostics.subgroups.reading import Read, read_strata
from medprobe.diagnostics.subgroups.sentences import shortcuts
from medprobe.diagnostics.subject import Subject, Unmeasured
from medprobe.diagnostics.treatments.try_remedies import treat


def diagnose(
    model: ModelOnDemand, dataset_name: str, manifest: Callable[[], Path], progress: Progress
) -> tuple[Diagnosis, Predictions | None]:
    """Diagnose `model` on the data set of `manifest()`. What goes wrong on the way is the diagnosis's `error`."""
    subject, spec = Subject(model, dataset_name, manifest, lambda: nullcontext(progress)), model.spec
    try:
        return diagnosis_of(subject), predictions_of(subject)
    except Unmeasured as error:
        return Diagnosis(model=spec.name, revision=spec.revision, dataset=dataset_name, error=str(error)), None


def predictions_of(subject: Subject) -> Predictions:
    """What is read of every image, out of fold. Raises Unmeasured."""
    return subject.once("predictions", lambda: _predictions(subject.evidence))


def diagnosis_of(subject: Subject, baseline: Match | None = None) -> Diagnosis:
    """The diagnosis, compared with its baseline where there is one; it holds its predictions. Raises Unmeasured."""

    def judged() -> Diagnosis:
        predictions = predictions_of(subject)
        found = _required(_conclude(subject.evidence), subject.settings).with_predictions(predictions)
        return found if baseline is None else _compared(found, predictions, baseline, subject.settings)

    return subject.once("diagnosis", judged)


def _compared(found: Diagnosis, predictions: Predictions, baseline: Match, settings: Settings) -> Diagnosis:
    """The diagnosis with what the comparison with its baseline adds. Raises BaselineError."""
    names = (found.model, found.dataset)
    margins, drop = settings.thresholds.margins(*names), settings.thresholds.health_limits(*names).largest_drop
    compared = record(baseline, predictions, margins, drop, settings.seed)
    strata = with_strata(compared, baseline, predictions, settings.thresholds.subgroup_margin(*names), settings.seed)
    return found.model_copy(update={"regression": strata})


def _required(found: Diagnosis, settings: Settings) -> Diagnosis:
    """The diagnosis with what the thresholds require of it, judged. Raises ThresholdError."""
    asked = settings.thresholds.least_of(found.model, found.dataset, found.classes)
    return found.model_copy(update={"least": least.judge(asked, measures(found))})


def _conclude(evidence: Evidence) -> Diagnosis:
    """The verdict on every link, and the record of all that was measured."""
    started = time.perf_counter()
    moments = Moments(evidence)
    controls, cautions = run_controls(evidence, moments.see)
    controlled = time.perf_counter()
    dataset, measured, labels = evidence.dataset, evidence.measured, evidence.labels
    judged, fields = judged_record(
        _predicted(evidence),
        _asked(evidence, controls.null.p),
        lambda locus: auroc(labels, evidence.readings[locus].log_probabilities),
    )
    reached, off = pixels(evidence, moments)
    attributes = attributes_of(evidence)
    verdicts = time.perf_counter()
    swap = find_cause(evidence)
    swapped = time.perf_counter()
    counterfactuals = ask_again.ask_again(evidence, judged) if ask_again.wanted(evidence, judged, swap) else None
    cause = joined(swap, counterfactuals, judged.links)
    asked = time.perf_counter()
    grounding = ground(evidence) if evidence.settings.ground else None
    grounded = time.perf_counter()
    return Diagnosis(
        model=evidence.spec.name,
        revision=evidence.spec.revision,
        dataset=dataset.name,
        **fields,
        n_excluded=len(measured.excluded) + len(dataset.unreadable),
        excluded=[Excluded(image=image.id, reason=reason) for image, reason in measured.excluded],
        contamination=dataset.contamination,
        answer=read_answer(evidence),
        scores=read_scores(evidence),
        reference=_reference(evidence),
        cautions=[
            *dataset.notes,
            *cautions,
            *off,
            *disagreement(evidence),
            *shortcut(grounding),
            *shortcuts(attributes),
        ],
        controls=controls,
        attributes=attributes,
        cause=cause,
        counterfactuals=counterfactuals,
        pixels=reached,
        treatments=treat(evidence) if evidence.settings.treat else None,
        grounding=grounding,
        settings=_settings(evidence),
        timing={
            **evidence.timing,
            "controls": controlled - started,
            **({} if swap is None else {"swapping": swapped - verdicts}),
            **({} if counterfactuals is None else {"asking_again": asked - swapped}),
            **({} if grounding is None else {"hiding": grounded - asked}),
            "judging": verdicts - controlled + time.perf_counter() - grounded,
        },
    )


def attributes_of(evidence: Evidence) -> Attributes | None:
    """What is read in the strata of every attribute, and how well the attribute itself is read."""
    e, margin = evidence, evidence.settings.thresholds.subgroup_margin(evidence.spec.name, evidence.dataset.name)
    read = Read(e.labels, e.groups, e.dataset.answers, e.predictions, e.settings.seed)
    found = read_strata(read, e.strata, margin)
    return None if found is None else with_probes(found, evidence)


def judgement_of(evidence: Evidence, null_p: float) -> Judgement:
    """The verdict on every link, from the predictions at the places of the chain and the p of the permutation null."""
    return judge_chain(_predicted(evidence), _asked(evidence, null_p))


def _predicted(evidence: Evidence) -> Predicted:
    return Predicted(
        labels=evidence.labels,
        groups=evidence.groups,
        classes=evidence.dataset.answers,
        places=evidence.predictions,
        loci={name: reading.predictions for name, reading in evidence.readings.items()},
        chosen={place: choice.loci for place, choice in evidence.chosen.items()},
        resamples=evidence.resamples,
        seed=evidence.settings.seed,
    )


def _asked(evidence: Evidence, null_p: float) -> Asked:
    thresholds, names = evidence.settings.thresholds, (evidence.spec.name, evidence.dataset.name)
    return Asked(thresholds.resolve(*names), thresholds.health_limits(*names).least, null_p)


def _predictions(evidence: Evidence) -> Predictions:
    started = time.perf_counter()
    dataset = evidence.dataset
    by_fold_seed = exits_by_fold_seed(evidence.measured, dataset, evidence.settings, evidence.progress)
    evidence.timing["fold_seeds"] = time.perf_counter() - started
    return Predictions(
        model=evidence.spec.name,
        dataset=dataset.name,
        data_fingerprint=dataset.fingerprint,
        prompt=dataset.prompt,
        probe=evidence.settings.probe,
        classes=list(dataset.answers),
        images=[image.id for image in evidence.measured.images],
        labels=evidence.labels.tolist(),
        groups=evidence.groups.tolist(),
        places={place: values.tolist() for place, values in evidence.predictions.items()},
        exits={stage: [values.tolist() for values in seeds] for stage, seeds in by_fold_seed.items()},
        loci={name: evidence.readings[name].predictions.tolist() for name in evidence.measured.loci()},
        options=evidence.measured.array(OPTIONS).tolist(),
        made=evidence.measured.folder.about(),
        strata=evidence.strata,
    )


def _reference(evidence: Evidence) -> Reference:
    from_later = Counter(evidence.chosen["reference"].loci)
    del from_later[REFERENCE_LOCUS]
    raised = from_later.most_common(1)[0][0] if from_later else None
    return evidence.reference.model_copy(update={"raised_by": raised})


def _settings(evidence: Evidence) -> dict[str, Any]:
    dataset, measured, settings = evidence.dataset, evidence.measured, evidence.settings
    return {
        "probe": settings.probe,
        "reference": settings.reference,
        "adapter": None if settings.load.adapter is None else Path(os.path.abspath(settings.load.adapter)).name,
        "tuned_from": settings.tuned_from,
        "seed": settings.seed,
        "n_folds": settings.n_folds,
        "fold_seeds": settings.fold_seeds,
        **measured.folder.about(),
        "max_images": settings.max_images,
        "max_new_tokens": settings.max_new_tokens,
        "prompt": dataset.prompt,
        "data_fingerprint": dataset.fingerprint,
        "model_fingerprint": evidence.model.fingerprint(),
        "features": measured.key,
        "images_seen_in_training_left_out": dataset.n_seen_dropped,
        "images_without_group": dataset.n_ungrouped,
    }
