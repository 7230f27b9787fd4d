"""Floors: what 16 x 16 grey pixels, and the files' own facts, tell of the labels without any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics import store
from medprobe.diagnostics.controls import strata
from medprobe.diagnostics.controls.null import LEVEL, p_value
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.judgement.resamples import interval
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.probes.ridge import read
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.controls import FileFacts, Floor
from medprobe.fixtures.datasets import facts

FACTS = {"width": "width", "height": "height", "mode": "mode", "type": "file type"}


def pixels(evidence: Evidence) -> Floor:
    """The floor of the grey picture shrunk to 16 x 16."""

    def features() -> NDArray[np.float32]:
        grey = np.stack([small.grey16 for small in evidence.small_pictures])
        return grey.reshape(len(grey), -1).astype(np.float32)

    return _floor(evidence, _read(evidence, "pixels16", features), "pixels16", features)


def file_facts(evidence: Evidence) -> tuple[FileFacts, list[str]]:
    """The floor of width, height, mode and file type, the chain's signal between files alike, and the caution that
    follows where these facts are above the null.
    """
    e = evidence

    def compute() -> dict[str, NDArray[np.float32]]:
        found = [small.facts for small in e.small_pictures]
        differ = [len({getattr(one, field) for one in found}) > 1 for field in FACTS]
        return {"features": encode(found), "differ": np.array(differ, dtype=np.float32)}

    kept = store.remembered(e.settings.store, store.key(facts=1, **e.reader.key), compute)
    told = [name for name, differs in zip(FACTS.values(), kept["differ"], strict=True) if differs]

    def features() -> NDArray[np.float32]:
        return kept["features"]

    reading = _read(evidence, "facts", features)
    floor = _floor(evidence, reading, "facts", features)
    stratum = strata.of_scores(reading.log_probabilities)
    within = {
        place: value
        for place in CHAIN
        if (value := strata.signal_within(stratum, evidence.labels, evidence.predictions[place])) is not None
    }
    n_within = int(strata.holding_two_classes(stratum, evidence.labels).sum())
    record = FileFacts(**floor.model_dump(), facts=told, within=within or None, n_within=n_within)
    return record, [shortcut(record)] if record.p < LEVEL else []


def encode(found: Sequence[facts.FileFacts]) -> NDArray[np.float32]:
    """[n_images, n_columns]: width, height, and the tenth of the images each lies in, as a label may hide in a middle
    size that no line finds; mode and type one-hot.
    """
    tenths = np.arange(1, 10) / 10
    columns = []
    for size in (np.array([f.width for f in found]), np.array([f.height for f in found])):
        columns += [size[:, None], _one_hot(np.searchsorted(np.quantile(size, tenths), size))]
    columns += [_one_hot(np.array([f.mode for f in found])), _one_hot(np.array([f.type for f in found]))]
    return np.concatenate(columns, axis=1).astype(np.float32)


def shortcut(floor: FileFacts) -> str:
    """The caution in words."""
    known = f"shortcut: the file's {_joined(floor.facts)} alone, without a look at a pixel, tell the classes apart"
    numbers = f"{known} with {100 * floor.accuracy:.1f}% accuracy ({100 * floor.signal:.1f} points of signal)"
    if floor.within is None:
        return f"{numbers}; no two images of different classes have files that look alike"
    inside = floor.within
    return (
        f"{numbers}; between the {floor.n_within} images whose files look like another class's the reference reads "
        f"{100 * inside['reference']:.1f} points and the answer {100 * inside['answer']:.1f}"
    )


def _read(evidence: Evidence, name: str, features: Callable[[], NDArray[np.float32]]) -> Reading:
    e = evidence
    e.progress("reading floors", 0, 1)

    def compute() -> dict[str, NDArray[np.float64]]:
        reading = read(e.settings.probe, features(), e.labels, e.groups, e.folds, e.settings.seed)
        return {"log_probabilities": reading.log_probabilities, "inner_accuracy": reading.inner_accuracy}

    key = store.key(floor=name, **e.reader.key)
    return Reading(**store.remembered(e.settings.store, key, compute))


def _floor(evidence: Evidence, reading: Reading, name: str, features: Callable[[], NDArray[np.float32]]) -> Floor:
    signal = evidence.signal(reading.predictions)
    signals, _ = evidence.reader.permuted.read(features, floor=name)
    return Floor(
        signal=signal,
        ci=interval(evidence.resamples.signal(reading.predictions)),
        accuracy=float(np.mean(reading.predictions == evidence.labels)),
        p=p_value(signals, signal),
    )


def _one_hot(values: NDArray[np.generic]) -> NDArray[np.float64]:
    found, index = np.unique(values, return_inverse=True)
    return np.asarray(np.eye(len(found))[index.reshape(-1)])


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
