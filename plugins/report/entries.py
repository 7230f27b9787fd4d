"""Diagnoses of one or many runs put together: which are the same, and which model was tuned from which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.fixtures.models.registry import registry

QUESTION = {"data_fingerprint": "images", "prompt": "prompt", "probe": "probe"}
"""Settings without which two signals do not answer one question, with the word for each."""


class Checkpoint(NamedTuple):
    """What a row of the comparison is about; `adapter` is the base name of a PEFT folder."""

    model: str
    revision: str | None
    adapter: str | None

    @property
    def detail(self) -> str:
        given = (("revision", self.revision), ("adapter", self.adapter))
        return ", ".join(f"{word} {value}" for word, value in given if value)

    def __str__(self) -> str:
        return f"{self.model} ({self.detail})" if self.detail else self.model


@dataclass(frozen=True)
class ReportEntry:
    """One diagnosis, and where its page lies if the comparison lies beside it."""

    diagnosis: Diagnosis
    href: str | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        adapter = self.diagnosis.settings.get("adapter")
        return Checkpoint(self.diagnosis.model, self.diagnosis.revision, None if adapter is None else str(adapter))

    @property
    def tuned_from(self) -> str | None:
        """Name of the model that this one was tuned from, where the run was told."""
        found = self.diagnosis.settings.get("tuned_from")
        return None if found is None else str(found)

    @property
    def dataset(self) -> str:
        return self.diagnosis.dataset


@dataclass(frozen=True)
class Row:
    """A checkpoint, how many others it was tuned from in turn, and the one just before it."""

    checkpoint: Checkpoint
    depth: int
    before: Checkpoint | None


def merge(runs: Iterable[tuple[str, Iterable[ReportEntry]]]) -> tuple[list[ReportEntry], list[str]]:
    """The diagnoses of all runs, each named, and what is to be said of those that occur twice.

    A report holds no time that could be relied on, so of the same checkpoint on the same data set the one named last is
    kept, in the place of the first.
    """
    kept: dict[tuple[Checkpoint, str], tuple[str, ReportEntry]] = {}
    notes = []
    for name, entries in runs:
        for entry in entries:
            key = entry.checkpoint, entry.dataset
            if key in kept:
                notes.append(
                    f"{entry.checkpoint} on {entry.dataset} is in {kept[key][0]} and in {name}; "
                    "the one named last is kept"
                )
            kept[key] = name, entry
    return [entry for _, entry in kept.values()], notes


def lineage(entries: Iterable[ReportEntry]) -> list[Row]:
    """The checkpoints in the order they are named, each with those tuned from it right below."""
    told: dict[Checkpoint, str | None] = {}
    for entry in entries:
        told[entry.checkpoint] = told.get(entry.checkpoint) or entry.tuned_from
    checkpoints = list(told)
    before = {checkpoint: _before(checkpoint, checkpoints, told) for checkpoint in checkpoints}
    for checkpoint in checkpoints:  # two runs may each have been told to be tuned from the other
        if checkpoint in _above(checkpoint, before):
            before[checkpoint] = None

    def below(parent: Checkpoint | None, depth: int) -> Iterable[Row]:
        for checkpoint in checkpoints:
            if before[checkpoint] == parent:
                yield Row(checkpoint, depth, parent)
                yield from below(checkpoint, depth + 1)

    return list(below(None, 0))


def _above(checkpoint: Checkpoint, before: Mapping[Checkpoint, Checkpoint | None]) -> set[Checkpoint]:
    above: set[Checkpoint] = set()
    parent = before[checkpoint]
    while parent is not None and parent not in above:
        above.add(parent)
        parent = before[parent]
    return above


def _before(
    checkpoint: Checkpoint, checkpoints: list[Checkpoint], told: Mapping[Checkpoint, str | None]
) -> Checkpoint | None:
    """What a checkpoint was before it was tuned: the same one without its adapter, else the one it is said to be tuned
    from, else the one of its name that is named before it, else its general base as the registry knows it."""
    if checkpoint.adapter is not None and (plain := checkpoint._replace(adapter=None)) in checkpoints:
        return plain
    parents = [c for c in checkpoints if c.model == told[checkpoint] != checkpoint.model and c.adapter is None]
    if parents:
        return parents[0]
    earlier = [c for c in checkpoints[: checkpoints.index(checkpoint)] if c.model == checkpoint.model]
    same = [c for c in earlier if c.adapter == checkpoint.adapter]
    if same:
        return same[-1]
    entry = registry().get(_alias(checkpoint.model))
    bases = [c for c in checkpoints if entry and entry.base == _alias(c.model) and c.adapter is None]
    return bases[-1] if bases else None


def _alias(model: str) -> str:
    """The alias of a model named by alias or by the last part of its hub id."""
    if model in registry():
        return model
    return next((alias for alias, entry in registry().items() if entry.hub.split("/")[-1] == model), model)


def asked_otherwise(first: Diagnosis, second: Diagnosis) -> list[str]:
    """In what two diagnoses of one data set differ, so that their signals do not answer one question."""
    found = [word for key, word in QUESTION.items() if first.settings.get(key) != second.settings.get(key)]
    return [*found, *(["classes"] if first.classes != second.classes else [])]


def cautions(entries: list[ReportEntry]) -> list[str]:
    """What forbids to read down a column: diagnoses of one data set that were made otherwise."""
    found = []
    for dataset in dict.fromkeys(entry.dataset for entry in entries):
        judged = [e.diagnosis for e in entries if e.dataset == dataset and e.diagnosis.failure_modes is not None]
        if len(judged) < 2:
            continue
        differ = {word for other in judged[1:] for word in asked_otherwise(judged[0], other)}
        if len({str(d.settings.get("reference")) for d in judged}) > 1:
            differ.add("reference")
        if len({tuple(link.threshold for _, link in d.failure_modes or ()) for d in judged}) > 1:
            differ.add("thresholds")
        if differ:
            found.append(f"{dataset}: not every model was given the same {', '.join(sorted(differ))}")
    return found
