"""What was read of one model on one data set: all that a judgement looks at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from medprobe.diagnostics import scores
from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.extraction.answers import parse
from medprobe.diagnostics.extraction.engine import engine
from medprobe.diagnostics.extraction.measurement import OPTIONS, Measurement, Progress, measure
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.extraction.small_pictures import SmallPictures
from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Choice
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.loci import REFERENCE_LOCUS
from medprobe.diagnostics.probes.reader import Reader
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.records.chain import Reference
from medprobe.diagnostics.records.subgroups import Strata
from medprobe.diagnostics.references.reading import ReferenceRows, read_reference
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets import selection
from medprobe.fixtures.datasets.attributes import clean
from medprobe.fixtures.datasets.dataset import Dataset
from medprobe.fixtures.datasets.small_pictures import SmallPicture
from medprobe.fixtures.models.registry import ModelSpec

SAMPLE = 200
"""Images of what needs forward passes of its own: controls, other wordings, hybrids. They are read for differences of
many points, which 200 paired images show.
"""


class MissingClass(ValueError):
    """A class has no readable image."""


@dataclass(frozen=True)
class Evidence:
    """Arrays have one row an image, in the order of `measured.images`.

    said, likeliest: the class the text names (-1 for none) and the class of the likeliest option, [n_images].
    chosen: the predictions that speak for each place of the chain.
    reference: what the reference is, before a later reading raises it.
    reader: reads further loci and label sets on the same folds.
    timing: seconds by step.
    """

    model: ModelOnDemand
    dataset: Dataset
    measured: Measurement
    progress: Progress
    labels: Ints
    groups: Ints
    folds: Ints
    reader: Reader
    readings: dict[str, Reading]
    reference: Reference
    said: Ints
    likeliest: Ints
    chosen: dict[str, Choice]
    resamples: Resamples
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> ModelSpec:
        return self.model.spec

    @property
    def settings(self) -> Settings:
        return self.model.settings

    @property
    def n_classes(self) -> int:
        return len(self.dataset.answers)

    @property
    def predictions(self) -> dict[str, Ints]:
        """The class read at each place of the chain, [n_images]."""
        return {place: choice.predictions for place, choice in self.chosen.items()}

    def scores_at(self, place: str) -> Floats:
        """Held-out log-probabilities at a place of the chain, [n_images, n_classes], of the locus chosen for it in each
        fold. Where that is the answer, they are those of its options.
        """
        found = np.empty((len(self.labels), self.n_classes))
        for fold, locus in enumerate(self.chosen[place].by_fold):
            rows = self.folds == fold
            reading = self.readings.get(locus)
            found[rows] = self.measured.array(OPTIONS)[rows] if reading is None else reading.log_probabilities[rows]
        return found

    @cached_property
    def strata(self) -> dict[str, Strata]:
        """The stratum of each image by each attribute of the data set. Values are cleaned again, since without the
        images that were left out fewer patients may have one.
        """
        row = {(image.path, image.member): index for index, image in enumerate(self.dataset.images)}
        rows = [row[image.path, image.member] for image in self.measured.images]
        found = {}
        for one in self.dataset.attributes:
            values = [one.values[one.codes[index]] if one.codes[index] >= 0 else None for index in rows]
            again = clean(one.name, values, self.groups.tolist())
            found[one.name] = Strata(values=list(again.values), codes=list(again.codes))
        return found

    @cached_property
    def small_pictures(self) -> list[SmallPicture]:
        """What controls need of the pictures, kept when they were decoded for the model."""
        return SmallPictures(self.settings.store).of(self.measured.images)

    def signal(self, predictions: Ints, rows: Ints | None = None) -> float:
        """Chance-corrected balanced accuracy of the predictions for all images, or for those at `rows`."""
        labels = self.labels if rows is None else self.labels[rows]
        return scores.signal_of(labels, predictions, self.n_classes)

    def sample(self) -> Ints:
        """Rows of the images that are read again where that needs forward passes: SAMPLE in whole groups, or all under
        full controls and where so few do not hold every class.
        """
        everything = np.arange(len(self.labels))
        if self.settings.controls == "full" or len(everything) <= SAMPLE:
            return everything
        images = self.measured.images
        keys: dict[int, str] = {}
        for image in images:
            keys[image.group] = min(image.digest, keys.get(image.group, image.digest))
        taken = selection.sample(self.groups.tolist(), self.labels.tolist(), keys, SAMPLE, self.settings.seed)
        rows = np.flatnonzero(np.isin(self.groups, list(taken)))
        return rows if len(np.unique(self.labels[rows])) == self.n_classes else everything


def measured_of(model: ModelOnDemand, dataset: Dataset, progress: Progress) -> Measurement:
    """Features and answers of `model` on `dataset`. Raises MissingClass, TooFewGroups and the errors of measuring:
    those of the data before anything of the model is read.
    """
    require_readable(np.array(dataset.labels()), np.array(dataset.groups()), dataset)
    return measure(model, dataset, progress, engine(model.settings))


def gather(model: ModelOnDemand, dataset: Dataset, progress: Progress, measured: Measurement | None = None) -> Evidence:
    """Read every locus of what was measured, or is measured now. Raises what `measured_of` raises."""
    settings = model.settings
    started = time.perf_counter()
    measured = measured or measured_of(model, dataset, progress)
    extracted = time.perf_counter()
    labels, groups = measured.labels, measured.groups
    require_readable(labels, groups, dataset)
    fold = folds.assign(labels, groups, settings.n_folds, settings.seed)
    reader = Reader(measured, dataset, settings, fold, settings.seed, progress)
    rows = ReferenceRows(measured.images, labels, groups, fold, reader.key)
    reference_reading, reference = read_reference(rows, settings, progress)
    readings = {
        REFERENCE_LOCUS: reference_reading,
        **reader.all_loci(),
    }
    said = said_classes(measured.texts(), dataset)
    answer = exits.untrained("answer.said", labels, said, fold, len(dataset.answers))
    return Evidence(
        model=model,
        dataset=dataset,
        measured=measured,
        progress=progress,
        labels=labels,
        groups=groups,
        folds=fold,
        reader=reader,
        readings=readings,
        reference=reference,
        said=said,
        likeliest=measured.array(OPTIONS).argmax(axis=1).astype(np.int64),
        chosen=exits.of_chain(readings, answer, fold),
        resamples=Resamples(labels, groups, len(dataset.answers), settings.seed),
        timing={"extraction": extracted - started, "probing": time.perf_counter() - extracted},
    )


def said_classes(texts: list[str], dataset: Dataset) -> Ints:
    """The class each text names, [n_texts], -1 where it names none."""
    names = [(answer, *more) for answer, more in zip(dataset.answers, dataset.synonyms, strict=True)]
    return np.array([parse(text, names) for text in texts], dtype=np.int64)


def require_readable(labels: Ints, groups: Ints, dataset: Dataset) -> None:
    """What images must be there whatever the model. Raises MissingClass and TooFewGroups."""
    absent = [answer for k, answer in enumerate(dataset.answers) if not (labels == k).any()]
    if absent:
        raise MissingClass(f"no readable image of class {', '.join(absent)} in {dataset.name}")
    folds.require_groups(labels, groups)
