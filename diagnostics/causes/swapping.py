"""Answers of two checkpoints and of what lies between them, from the store where they are there."""

from __future__ import annotations

import functools
import hashlib
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.causes.games import Row
from medprobe.diagnostics.causes.keys import Trial
from medprobe.diagnostics.causes.kinship import strangers
from medprobe.diagnostics.causes.pieces import depths
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.extraction.batches import read_all
from medprobe.diagnostics.extraction.measurement import OPTIONS, Measurement, answer_length, measure
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.chain import STAGES, Stage
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.input_settings import CannotAlter, SettingDifference, altered, differences, with_input_of
from medprobe.fixtures.models.kinship import OtherArchitecture, require_kin
from medprobe.fixtures.models.refusals import LoadError
from medprobe.fixtures.models.registry import ModelSpec

if TYPE_CHECKING:
    from PIL.Image import Image

    from medprobe.diagnostics.causes.pieces import Choice
    from medprobe.fixtures.models.input_settings import SettingDifference
    from medprobe.fixtures.models.loaded import LoadedModel

VERSION = "the input is a place"
"""Part of the name under which results are kept: another one for another way to read hybrids."""
MOST_PREFIXES = 9
"""Points of the curve over prefixes of the named module's layers, both ends included."""

LONGEST = 200
"""Characters of a foreign error that are shown."""

Arrays = dict[str, NDArray[Any]]


class Unloadable(RuntimeError):
    """The second checkpoint cannot be loaded; the model's own diagnosis stands."""


@dataclass(frozen=True)
class Comparison:
    """How two checkpoints differ before anything is swapped.

    refusal: why no module can be swapped, if none can.
    input: `same` where these images reach both as the same numbers under the same configuration, `kept` where the
    inputs cannot be exchanged, for the reason `why`, else `swapped`.
    """

    settings: list[SettingDifference]
    refusal: str | None
    input: Literal["same", "swapped", "kept"]
    why: str | None


class _Second(ModelOnDemand):
    def load(self) -> Any:
        """The model in memory. Raises Unloadable."""
        try:
            return super().load()
        except (LoadError, ValueError, OSError) as error:
            raise Unloadable(told(error)) from error


@dataclass(frozen=True)
class Swapper:
    """Reads the images at `rows` under the second checkpoint, hybrids of both, and the model under other settings.

    The second checkpoint has its own processor unless `processor` names another.
    """

    evidence: Evidence
    against: ModelSpec
    rows: Ints
    processor: str | None = None

    def shipped(self) -> Measurement:
        """The second checkpoint as it ships, in the model's dtype. Raises Unloadable and the errors of measuring."""
        evidence = self.evidence
        asked = replace(
            evidence.dataset,
            images=tuple(evidence.measured.images[row] for row in self.rows),
            unreadable=(),
            notes=(),
        )
        return measure(self._second, asked, evidence.progress, max_excluded=0.0)

    def comparison(self) -> Comparison:
        """Raises Unloadable."""

        def compute() -> Arrays:
            loaded, against = self._loaded
            try:
                require_kin(loaded, against)
                refusal = None
            except OtherArchitecture as error:
                refusal = str(error)
            listed = differences(loaded, against)
            why = None if refusal or not listed else self._kept
            same = refusal is None and why is None and self._same_input([d.path for d in listed])
            return _packed(
                {
                    "settings": [[d.path, d.ours, d.theirs] for d in listed],
                    "refusal": refusal,
                    "input": "kept" if why else "same" if same else "swapped",
                    "why": why,
                }
            )

        found = _unpacked(self._remembered("comparison", compute))
        return Comparison(**{**found, "settings": [SettingDifference(*values) for values in found["settings"]]})

    def strangers(self) -> list[Stage]:
        """The modules of the two that have no common ancestor."""
        return list(_unpacked(self._remembered("strangers", lambda: _packed(strangers(*self._loaded)))))

    def likeliest(self, rows: Sequence[Row]) -> Ints:
        """[n_rows, n_images] likeliest options under hybrids."""

        def compute() -> Arrays:
            choices = [self._choice(row) for row in rows]
            answers = np.full((len(rows), len(self.rows)), -1)
            for side, own in _by_input(rows):
                answers[own] = self._read(self._hosts[side], [choices[i] for i in own])
            return {"answers": answers}

        return self._remembered(f"likeliest under {rows}", compute)["answers"]

    def said(self, rows: Sequence[Row]) -> Ints:
        """[n_rows, n_images] classes that the texts of hybrids name."""
        tokens = answer_length(self.evidence.spec, self.evidence.settings)

        def compute() -> Arrays:
            choices = [self._choice(row) for row in rows]
            answers = np.full((len(rows), len(self.rows)), -1)
            for side, own in _by_input(rows):
                answers[own] = self._written(self._hosts[side], [choices[i] for i in own], tokens)
            return {"answers": answers}

        return self._remembered(f"said under {rows}", compute)["answers"]

    def prefixes(self, module: Stage, none: Ints, whole: Ints) -> tuple[list[int], Ints]:
        """Numbers of layers from none to all, and the [n, n_images] likeliest options with so many of them swapped into
        the model; `none` and `whole` are those of the ends.
        """
        place = STAGES.index(module)

        def compute() -> Arrays:
            layers = sorted({round(k) for k in np.linspace(0, self._depths[place], MOST_PREFIXES)})
            inner = [tuple(k if i == place else 0 for i in range(len(STAGES))) for k in layers[1:-1]]
            answers = self._read(self._hosts[False], inner) if inner else np.empty((0, len(self.rows)), dtype=np.int64)
            return {"layers": np.array(layers), "answers": answers}

        found = self._remembered(f"prefixes of {module}", compute)
        return found["layers"].tolist(), np.vstack([none, found["answers"], whole])

    def tried(self, trials: Sequence[Trial], by_text: bool) -> tuple[Ints, list[str | None]]:
        """[n_trials, n_images] answers of the model under settings of the second checkpoint, the likeliest option or
        the class said; and why, where a trial fails, its answers being -1.
        """

        def compute() -> Arrays:
            answers = np.full((len(trials), len(self.rows)), -1)
            why: list[str | None] = []
            for i, trial in enumerate(trials):
                try:
                    answers[i] = self._asked(trial.changes, by_text)
                    why.append(None)
                except Exception as error:  # settings that do not fit each other may end anywhere
                    why.append(told(error))
                self.evidence.progress("swapping settings", i + 1, len(trials))
            return {"answers": answers, **_packed({"why": why})}

        found = self._remembered(f"settings {[trial.path for trial in trials]}, by text {by_text}", compute)
        return found["answers"], _unpacked(found)["why"]

    def _asked(self, changes: Mapping[str, Any], by_text: bool) -> Ints:
        from medprobe.diagnostics.extraction.extractor import Extractor

        evidence = self.evidence
        model = altered(self._loaded[0], changes)
        tokens = answer_length(evidence.spec, evidence.settings) if by_text else 1
        with Extractor(model, evidence.dataset.prompt, evidence.dataset.answers, tokens).hooked() as extractor:
            batches = list(
                read_all(extractor.prepare, extractor.read, self._pictures, evidence.model.limit, extractor.length)
            )
        if by_text:
            return said_classes([text for batch in batches for text in batch.texts], evidence.dataset)
        scores = np.concatenate([batch.option_log_likelihoods for batch in batches])
        return np.asarray(scores.argmax(axis=1), dtype=np.int64)

    def _read(self, host: tuple[LoadedModel, LoadedModel], choices: Sequence[Choice]) -> Ints:
        """[n_choices, n_images] likeliest options."""
        from medprobe.diagnostics.causes.hybrids import Hybrids

        evidence = self.evidence
        parts: list[Ints] = []
        with Hybrids(*host, evidence.dataset.prompt, evidence.dataset.answers).ready() as hybrids:
            for scores in hybrids.read(self._pictures, choices, evidence.model.limit):
                parts.append(scores.argmax(axis=2))
                evidence.progress("swapping modules", sum(part.shape[1] for part in parts), len(self.rows))
        return np.concatenate(parts, axis=1)

    def _written(self, host: tuple[LoadedModel, LoadedModel], choices: Sequence[Choice], tokens: int) -> Ints:
        """[n_choices, n_images] classes that the texts name."""
        from medprobe.diagnostics.causes.hybrids import Hybrids

        evidence = self.evidence
        parts: list[Ints] = []
        with Hybrids(*host, evidence.dataset.prompt, evidence.dataset.answers).ready() as hybrids:
            for texts in hybrids.write(self._pictures, choices, evidence.model.limit, tokens):
                parts.append(np.array([said_classes(own, evidence.dataset) for own in texts]))
                evidence.progress("writing under hybrids", sum(part.shape[1] for part in parts), len(self.rows))
        return np.concatenate(parts, axis=1)

    def _same_input(self, paths: Sequence[str]) -> bool:
        """Whether no number of the configuration differs, and the two processors make the same of every image."""
        if any(path.startswith(("config.", "generation_config.")) for path in paths):
            return False
        n = self.evidence.model.limit.images
        pictures, prompt = self._pictures, self.evidence.dataset.prompt
        for start in range(0, len(pictures), n):
            ours, theirs = (inputs(loaded, pictures[start : start + n], prompt) for loaded in self._loaded)
            if set(ours) != set(theirs) or not all(_equal(ours[name], theirs[name]) for name in ours):
                return False
        return True

    def _choice(self, row: Row) -> Choice:
        return tuple(depth * (stage in row) for depth, stage in zip(self._depths, STAGES, strict=True))

    @property
    def _pictures(self) -> list[Image]:
        return [open_image(self.evidence.measured.images[row]) for row in self.rows]

    @property
    def _depths(self) -> Choice:
        return depths(self._loaded[0].anatomy)

    def _remembered(self, what: str, compute: Callable[[], Arrays]) -> Arrays:
        evidence = self.evidence
        if not self.against.local:
            self._second.fetch()
        name = store.key(
            cause=what,
            version=VERSION,
            features=evidence.measured.key,
            against=self._second.fingerprint(),
            dtype=self._settings.load.dtype,
            rows=hashlib.sha256(
                " ".join(evidence.measured.images[row].digest for row in self.rows).encode()
            ).hexdigest(),
        )

        def checked() -> Arrays:
            found = compute()
            for model in (evidence.model, self._second):
                model.require_unchanged()
            return found

        return store.remembered(evidence.settings.store, name, checked)

    @functools.cached_property
    def _settings(self) -> Settings:
        """Those of the second checkpoint: its own adapter or none, the model's dtype."""
        evidence = self.evidence
        settings = evidence.settings
        dtype = settings.load.dtype or evidence.measured.folder.about().get("dtype")
        own = replace(settings.load, adapter=settings.against_adapter, processor=self.processor, dtype=dtype)
        return replace(settings, load=own)

    @functools.cached_property
    def _second(self) -> ModelOnDemand:
        return _Second(self.against, self._settings)

    @property
    def _loaded(self) -> tuple[LoadedModel, LoadedModel]:
        """Both models. Raises Unloadable."""
        return self.evidence.model.load(), self._second.load()

    @functools.cached_property
    def _kept(self) -> str | None:
        """Why the inputs cannot be exchanged; None where they can."""
        loaded, against = self._loaded
        try:
            with_input_of(against, loaded)
            with_input_of(loaded, against)
        except CannotAlter as error:
            return str(error)
        return None

    @functools.cached_property
    def _hosts(self) -> tuple[tuple[LoadedModel, LoadedModel], tuple[LoadedModel, LoadedModel]]:
        """Pairs for Hybrids under the model's input and under the second checkpoint's. What a module's constructor made
        of numbers of the configuration stays with the input. Where inputs cannot be exchanged, both pairs are under the
        model's.
        """
        loaded, against = self._loaded
        if self._kept is not None:
            return (loaded, against), (loaded, against)
        return (loaded, with_input_of(against, loaded)), (with_input_of(loaded, against), against)


def _by_input(rows: Sequence[Row]) -> Iterator[tuple[bool, list[int]]]:
    """The rows under the model's input, then those under the second checkpoint's."""
    for side in (False, True):
        own = [i for i, row in enumerate(rows) if ("input" in row) is side]
        if own:
            yield side, own


def _equal(one: Any, other: Any) -> bool:
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def likeliest(measured: Measurement) -> Ints:
    return np.asarray(measured.array(OPTIONS).argmax(axis=1), dtype=np.int64)


def told(error: Exception) -> str:
    """What went wrong, on one line; the suite's own errors are sentences. Names of files are left out."""
    if isinstance(error, OSError):
        return f"{type(error).__name__}: {error.strerror or 'a file cannot be read'}"
    text = one_line(str(error))
    if text and type(error).__module__.startswith("medprobe."):
        return text
    return f"{type(error).__name__}: {textwrap.shorten(text, LONGEST, placeholder=' ...')}".removesuffix(": ")


def _packed(value: Any) -> Arrays:
    """Plain data as an array of bytes, which is what the store keeps."""
    return {"json": np.frombuffer(json.dumps(value, default=str).encode(), dtype=np.uint8)}


def _unpacked(found: Arrays) -> Any:
    return json.loads(found["json"].tobytes())
