"""One model on one data set: from features and answers to a diagnosis."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnostics import exits, folds, judging, scores, store
from diagnostics.answers import parse
from diagnostics.exits import Candidate, Choice
from diagnostics.measurement import OPTIONS, Measurement, Progress, measure
from diagnostics.probing import Reading, read
from diagnostics.records import (
    CHAIN,
    FAILURE_MODES,
    Accuracy,
    AnswerReading,
    Chain,
    Curves,
    Diagnosis,
    Excluded,
    Exit,
    FailureModes,
    Health,
    Layer,
    Link,
    Predictions,
    Reference,
)
from diagnostics.settings import Settings
from fixtures.datasets.dataset import Dataset, open_dataset
from fixtures.datasets.images import open_image
from fixtures.models.registry import ModelSpec

OPTION_SCORE = "sum of the log-likelihoods of the answer's tokens, not divided by their number"
REFERENCE_LOCUS = "reference"
Ints = NDArray[np.int64]


def diagnose(
    spec: ModelSpec, dataset_name: str, manifest: Callable[[], Path], settings: Settings, progress: Progress
) -> tuple[Diagnosis, Predictions | None]:
    """Diagnose `spec` on the data set of `manifest()`. What goes wrong on the way is the diagnosis's `error`."""
    try:
        dataset = open_dataset(manifest(), settings.data_root, settings.max_images, settings.seed)
        return _diagnose(spec, dataset, settings, progress)
    except Exception as error:
        message = " ".join(str(error).split()) or type(error).__name__
        known = isinstance(error, ValueError | RuntimeError | OSError) and type(error).__module__.startswith(
            ("diagnostics", "fixtures")
        )
        text = message if known else f"{type(error).__name__}: {message}"
        return Diagnosis(model=spec.name, revision=spec.revision, dataset=dataset_name, error=text), None


def _diagnose(
    spec: ModelSpec, dataset: Dataset, settings: Settings, progress: Progress
) -> tuple[Diagnosis, Predictions]:
    started = time.perf_counter()
    measured = measure(spec, dataset, settings, progress)
    extracted = time.perf_counter()
    labels, groups = measured.labels, measured.groups
    n_classes = len(dataset.answers)
    _require_classes(labels, dataset)
    fold = folds.assign(labels, groups, settings.n_folds, settings.seed)
    readings = _read_all(measured, labels, groups, fold, dataset, settings, progress)
    probed = time.perf_counter()

    said = _said(measured.texts(), dataset)
    likeliest = measured.array(OPTIONS).argmax(axis=1).astype(np.int64)
    chosen = _exits(readings, exits.untrained("answer.said", labels, said, fold, n_classes), fold)
    predictions = {place: choice.predictions for place, choice in chosen.items()}
    resamples = judging.Resamples(labels, groups, n_classes, settings.seed)
    judged = judging.judge(
        labels, predictions, settings.thresholds.resolve(spec.name, dataset.name), resamples, n_classes
    )
    curves = _curves(readings, labels, resamples)

    def signal(values: Ints) -> float:
        return scores.signal(scores.balanced_accuracy(labels, values, n_classes), n_classes)

    diagnosis = Diagnosis(
        model=spec.name,
        revision=spec.revision,
        dataset=dataset.name,
        n_images=len(labels),
        n_excluded=len(measured.excluded) + len(dataset.unreadable),
        n_groups=len(np.unique(groups)),
        excluded=[Excluded(image=image.id, reason=reason) for image, reason in measured.excluded],
        contamination=dataset.contamination,
        verdict=judged.verdict,
        primary_failure_mode=judged.primary,
        tied=judged.tied,
        failure_modes=_failure_modes(judged, chosen),
        accuracy=Accuracy(
            chance=float(np.bincount(labels).max() / len(labels)),
            **{place: float(np.mean(predictions[place] == labels)) for place in CHAIN},
        ),
        signal=Chain(**judged.signal),
        signal_ci=judged.signal_ci,
        minimum_loss=judged.minimum_loss,
        classes=list(dataset.answers),
        confusion={place: scores.confusion(labels, predictions[place], n_classes) for place in CHAIN},
        curves=curves,
        health=_health(curves, float(np.mean(said == labels)), len(labels)),
        answer=AnswerReading(
            readable_in_options=signal(readings["answer.0.options"].predictions),
            likeliest=signal(likeliest),
            said=signal(said),
            unparseable=float(np.mean(said < 0)),
            option_score=OPTION_SCORE,
        ),
        exits={place: Exit(loci=chosen[place].loci, below_chance=judged.signal[place] < 0) for place in CHAIN},
        reference=_reference_record(chosen["reference"]),
        cautions=list(dataset.notes),
        settings=_settings_record(dataset, measured, settings),
        timing={
            "extraction": extracted - started,
            "probing": probed - extracted,
            "judging": time.perf_counter() - probed,
        },
    )
    return diagnosis, Predictions(
        model=spec.name,
        dataset=dataset.name,
        data_fingerprint=dataset.fingerprint,
        prompt=dataset.prompt,
        probe=settings.probe,
        classes=list(dataset.answers),
        images=[image.id for image in measured.images],
        labels=labels.tolist(),
        groups=groups.tolist(),
        places={place: values.tolist() for place, values in predictions.items()},
    )


def _said(texts: list[str], dataset: Dataset) -> Ints:
    """The class each text names, [n_images], -1 where it names none."""
    names = [(answer, *more) for answer, more in zip(dataset.answers, dataset.synonyms, strict=True)]
    return np.array([parse(text, names) for text in texts], dtype=np.int64)


def _failure_modes(judged: judging.Judgement, chosen: dict[str, Choice]) -> FailureModes:
    links = {
        FAILURE_MODES[stage]: Link(
            verdict=link.verdict,
            reason=link.reason,
            loss=link.loss,
            ci=link.ci,
            retention=link.retention,
            threshold=link.threshold,
            locus=chosen[stage].locus,
        )
        for stage, link in judged.links.items()
    }
    return FailureModes(**links)


class MissingClass(ValueError):
    """A class has no readable image."""


def _require_classes(labels: Ints, dataset: Dataset) -> None:
    absent = [answer for k, answer in enumerate(dataset.answers) if not (labels == k).any()]
    if absent:
        raise MissingClass(f"no readable image of class {', '.join(absent)} in {dataset.name}")


def _read_all(
    measured: Measurement,
    labels: Ints,
    groups: Ints,
    fold: Ints,
    dataset: Dataset,
    settings: Settings,
    progress: Progress,
) -> dict[str, Reading]:
    """The reading of every locus, of the option likelihoods and of the reference, each remembered in the store."""
    rows = hashlib.sha256(" ".join(image.digest for image in measured.images).encode()).hexdigest()
    shared = {
        "data": dataset.fingerprint,
        "rows": rows,
        "probe": settings.probe,
        "seed": settings.seed,
        "n_folds": settings.n_folds,
    }

    def remembered(name: str, features: Any) -> Reading:
        def compute() -> dict[str, NDArray[np.float64]]:
            reading = read(settings.probe, features(), labels, groups, fold, settings.seed)
            return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

        return Reading(**store.remembered(settings.store, name, compute))

    def reference_features() -> NDArray[np.float32]:
        from diagnostics import reference

        progress("reading the reference", 0, 1)
        pixels = np.stack([reference.pixels(open_image(image)) for image in measured.images])
        return reference.features(pixels, settings.seed)

    loci = measured.loci()
    readings = {REFERENCE_LOCUS: remembered(store.key(reference="kmeans-filters", **shared), reference_features)}
    for done, locus in enumerate([*loci, OPTIONS]):
        progress("probing", done, len(loci) + 1)
        name = "answer.0.options" if locus == OPTIONS else locus
        readings[name] = remembered(
            store.key(features=measured.key, locus=locus, **shared), lambda locus=locus: measured.array(locus)
        )
    return readings


def _order(locus: str) -> tuple[int, int, str]:
    stage, layer, readout = locus.split(".")
    return (("vision", "connector", "llm", "answer").index(stage), int(layer), readout)


def _exits(readings: dict[str, Reading], answer: Candidate, fold: Ints) -> dict[str, Choice]:
    """The predictions that speak for each place of the chain."""

    def candidates(names: list[str]) -> list[Candidate]:
        return [Candidate(name, readings[name].predictions, readings[name].inner_accuracy) for name in names]

    loci = sorted((name for name in readings if name != REFERENCE_LOCUS), key=_order)
    last_vision = max(int(name.split(".")[1]) for name in loci if name.startswith("vision."))
    last_llm = max(int(name.split(".")[1]) for name in loci if name.startswith("llm."))
    at_llm_exit = [*candidates([f"llm.{last_llm}.last", "answer.0.options"]), answer]
    inside = [name for name in loci if name.startswith("llm.") and name != f"llm.{last_llm}.last"]
    at_connector = [
        *candidates([name for name in loci if name.startswith("connector.")]),
        *at_llm_exit,
        *candidates(inside),
    ]
    at_vision = [*candidates([f"vision.{last_vision}.{r}" for r in ("mean", "grid")]), *at_connector]
    return {
        "reference": exits.choose([*candidates([REFERENCE_LOCUS]), *at_vision], fold),
        "vision": exits.choose(at_vision, fold),
        "connector": exits.choose(at_connector, fold),
        "llm": exits.choose(at_llm_exit, fold),
        "answer": exits.choose([answer], fold),
    }


def _curves(readings: dict[str, Reading], labels: Ints, resamples: judging.Resamples) -> Curves:
    def curve(stage: str, readout: str) -> list[Layer]:
        found = sorted(
            (name for name in readings if name.startswith(f"{stage}.") and name.endswith(f".{readout}")), key=_order
        )
        points = []
        for name in found:
            reading = readings[name]
            predictions = reading.predictions
            points.append(
                Layer(
                    layer=int(name.split(".")[1]),
                    accuracy=float(np.mean(predictions == labels)),
                    ci=judging.interval(resamples.accuracy(predictions)),
                    auroc=scores.auroc(labels, reading.log_probabilities),
                )
            )
        return points

    return Curves(
        vision=curve("vision", "mean"),
        vision_grid=curve("vision", "grid"),
        connector=curve("connector", "mean"),
        connector_grid=curve("connector", "grid"),
        llm_mean=curve("llm", "mean"),
        llm_last=curve("llm", "last"),
    )


def _health(curves: Curves, answer: float, n_images: int) -> Health:
    def fhs(points: list[Layer]) -> float:
        return scores.feature_health_score([point.accuracy for point in points], n_images)

    # A connector of one layer has the curve from the tower's exit to its own.
    return Health(
        vision=fhs(curves.vision),
        connector=fhs([curves.vision[-1], *curves.connector]),
        llm_mean=fhs(curves.llm_mean),
        llm_last=fhs(curves.llm_last),
        answer=answer,
    )


def _reference_record(choice: Choice) -> Reference:
    from_later = Counter({locus: n for locus, n in choice.loci.items() if locus != REFERENCE_LOCUS})
    raised = from_later.most_common(1)[0][0] if from_later else None
    return Reference(network="kmeans-filters-64px-6x6-128", pretrained=False, raised_by=raised)


def _settings_record(dataset: Dataset, measured: Measurement, settings: Settings) -> dict[str, Any]:
    return {
        "probe": settings.probe,
        "seed": settings.seed,
        "n_folds": settings.n_folds,
        **measured.folder.about(),
        "batch_size": settings.batch_size,
        "max_images": settings.max_images,
        "max_new_tokens": settings.max_new_tokens,
        "prompt": dataset.prompt,
        "data_fingerprint": dataset.fingerprint,
        "features": measured.key,
        "images_seen_in_training_left_out": dataset.n_seen_dropped,
        "images_without_group": dataset.n_ungrouped,
    }
