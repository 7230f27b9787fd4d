"""One model on one data set, and what is measured of it: each step is taken when it is first asked for, and once."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Ints
from medprobe.diagnostics.evidence import Evidence, gather, measured_of, said_classes
from medprobe.diagnostics.extraction.measurement import OPTIONS, Measurement, Progress
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.probes.loci import order
from medprobe.fixtures.datasets.dataset import Dataset, open_dataset
from medprobe.fixtures.errors import MedprobeError
from medprobe.fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from medprobe.fixtures.models.loaded import LoadedModel

Taken = TypeVar("Taken")


class Unmeasured(MedprobeError):
    """A step of the diagnosis cannot be taken; one sentence."""


@dataclass(frozen=True)
class Answers:
    """What the model answered: a row an image, the rows of the features.

    labels: the true classes, [n_images].
    texts: what the model wrote.
    said: the class the text names, [n_images], -1 where it names none.
    likeliest: the class of the likeliest option, [n_images].
    options: log-likelihoods of the options, [n_images, n_classes].
    """

    labels: Ints
    texts: list[str]
    said: Ints
    likeliest: Ints
    options: Features


class FeaturesByLocus(Mapping[str, Features]):
    """Locus name to array, [n_images, width], in the order in which the signal passes the loci. An array is read from
    the store when it is asked for, and not kept.

    images, labels and groups describe the rows: keyed hashes, true classes and patient groups, [n_images].
    """

    def __init__(self, measurement: Measurement, read: Callable[[str], Features]) -> None:
        self.images = [image.id for image in measurement.images]
        self.labels, self.groups = measurement.labels, measurement.groups
        self._loci = sorted(measurement.loci(), key=order)
        self._read = read

    def __getitem__(self, locus: str) -> Features:
        if locus not in self._loci:
            raise KeyError(locus)
        return self._read(locus)

    def __iter__(self) -> Iterator[str]:
        return iter(self._loci)

    def __len__(self) -> int:
        return len(self._loci)


class _Passed:
    """Progress that is passed on to whoever listens now. No part of the subject, which would hold its model for as
    long as what reports to it lives.
    """

    def __init__(self) -> None:
        self.to: Progress = silent

    def __call__(self, what: str, done: int, total: int) -> None:
        self.to(what, done, total)


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody sees."""


class Subject:
    """`model` on the data set of `manifest()`.

    `around` is entered for each step that has to be taken; it gives what the step reports its progress to, and sees the
    Unmeasured that a step raises.
    """

    def __init__(
        self,
        model: ModelOnDemand,
        dataset_name: str,
        manifest: Callable[[], Path],
        around: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(silent),
    ) -> None:
        self.model, self.settings, self.dataset_name = model, model.settings, dataset_name
        self._manifest, self._around = manifest, around
        self._progress = _Passed()
        self._taken: dict[str, Any] = {}
        self._at_work = False
        self._error: str | None = None

    @property
    def dataset(self) -> Dataset:
        """The data set as it was asked for. Raises Unmeasured."""
        s = self.settings
        return self.once(
            "dataset", lambda: open_dataset(self._manifest(), s.data_root, s.max_images, s.seed), kept=True
        )

    @property
    def loaded_model(self) -> LoadedModel:
        """The model in memory. Raises Unmeasured."""
        # Held by the model on demand, which later subjects share.
        loaded: LoadedModel = self._working(self.model.load)
        return loaded

    @property
    def measurement(self) -> Measurement:
        """What the store holds of every image, extracted where it is missing. Raises Unmeasured."""
        return self.once("measurement", lambda: measured_of(self.model, self.dataset, self._progress))

    @property
    def features(self) -> FeaturesByLocus:
        """Features by locus. Raises Unmeasured."""

        def read(locus: str) -> Features:
            return self._working(lambda: self.measurement.array(locus))

        return self._working(lambda: FeaturesByLocus(self.measurement, read))

    @property
    def answers(self) -> Answers:
        """What the model answered about every image. Raises Unmeasured."""
        return self.once("answers", self._answers)

    @property
    def evidence(self) -> Evidence:
        """What was read of the features. Raises Unmeasured."""
        return self.once("evidence", self._evidence)

    def _answers(self) -> Answers:
        measured = self.measurement
        texts, options = measured.texts(), measured.array(OPTIONS)
        likeliest: Ints = options.argmax(axis=1).astype("int64")
        return Answers(measured.labels, texts, said_classes(texts, self.dataset), likeliest, options)

    def _evidence(self) -> Evidence:
        started = time.perf_counter()
        measured = self.measurement
        extracting = time.perf_counter() - started
        found = gather(self.model, self.dataset, self._progress, measured)
        found.timing["extraction"] += extracting
        return found

    def once(self, name: str, step: Callable[[], Taken], kept: bool = False) -> Taken:
        """What the step of this name gives, taken the first time. Raises Unmeasured.

        `kept`: nothing of it is read from the store, so a broken file there does not touch it.
        """
        if name not in self._taken:
            self._taken[name] = self._working(step), kept
        taken: Taken = self._taken[name][0]
        return taken

    def _working(self, step: Callable[[], Taken]) -> Taken:
        """The step as a use of the store. Raises Unmeasured. Steps that others ask for are part of theirs."""
        if self._at_work:
            return step()
        with self._around() as self._progress.to:
            if self._error is not None:
                raise Unmeasured(self._error)
            self._at_work = True
            try:
                with store.in_use(self.settings.store):
                    try:
                        return step()
                    except store.BrokenFile:  # set aside, so that its images are read again
                        self._taken = {name: taken for name, taken in self._taken.items() if taken[1]}
                        return step()
                    finally:
                        store.push(self.settings.store)
            except Exception as error:
                self._error = sentence(error, self.model.spec, self.dataset_name)
                raise Unmeasured(self._error) from error
            finally:
                self._at_work = False


def sentence(error: Exception, spec: ModelSpec, dataset_name: str) -> str:
    """What went wrong, on one line: the suite's own errors are sentences, others get a beginning."""
    # Before it is cut, since half a secret is not known as one.
    message = one_line(str(error)) or type(error).__name__
    known = isinstance(error, ValueError | RuntimeError | OSError) and type(error).__module__.startswith("medprobe.")
    about = f"{one_line(spec.source)} could not be measured on {dataset_name}"
    return message if known else f"{about}: {_shortened(error, message)}"


def _shortened(error: Exception, message: str) -> str:
    return f"{type(error).__name__}: {textwrap.shorten(message, 300, placeholder=' ...')}"
