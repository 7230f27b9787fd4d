"""Lesions hidden in the picture and at the decoder's input: what the answer and the exits lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Ints
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.further_questions import ask, images_at, likeliest
from medprobe.diagnostics.grounding.places import NothingHidden, Places, places
from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Candidate
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.probes.ridge import read_altered
from medprobe.diagnostics.records.chain import Difference, Stage
from medprobe.diagnostics.records.grounding import Grounding, Hidden, Hiding
from medprobe.fixtures.datasets.lesions.occlusion import Occluded

Arrays = dict[str, Features]

KEPT = 0.5
"""Of the answer's signal: a model that keeps more than this without the lesion answers by something else."""


@dataclass(frozen=True)
class Asked:
    """What the model gives of the images of `Places` in one state: [n, width] by locus, and [n] classes."""

    features: Arrays
    likeliest: Ints
    said: Ints


def ground(evidence: Evidence) -> Grounding:
    """How much of the answer and of each exit's signal depends on the lesion."""
    try:
        found = places(evidence)
    except NothingHidden as error:
        return Grounding(reason=str(error))
    own = exits.own_loci(evidence.measured.loci())
    names = [name for loci in own.values() for name in loci]
    intact = Asked(
        {name: evidence.measured.array(name)[found.rows] for name in names},
        evidence.likeliest[found.rows],
        evidence.said[found.rows],
    )
    lesion, elsewhere = (_occluded(evidence, found, hidden, names) for hidden in (found.lesion, found.elsewhere))
    e, labels = evidence, evidence.labels[found.rows]
    resamples = Resamples(labels, e.groups[found.rows], e.n_classes, e.settings.seed)
    answers = [resamples.signal(asked.said) for asked in (intact, lesion, elsewhere)]
    # As a link that fails: a shortcut named on noise is the worst of errors.
    readable = bool(np.quantile(answers[0], ALPHA / 4) > 0)
    return Grounding(
        n_images=len(labels),
        n_lesions=int(found.lesioned.sum()),
        n_left_out=found.n_left_out,
        pixels=_hiding(e, found, resamples, own, (intact, lesion, elsewhere)),
        tokens=_tokens(e, found, resamples, own, intact),
        depends_on_lesion=bool(np.quantile(answers[2] - answers[1], ALPHA / 2) > 0) if readable else None,
        shortcut=bool(np.quantile(answers[1] - KEPT * answers[0], ALPHA / 4) > 0) if readable else None,
    )


def shortcut(grounding: Grounding | None) -> list[str]:
    """The caution in words, where the answer does without the lesion."""
    if grounding is None or not grounding.shortcut or grounding.pixels is None:
        return []
    pixels = grounding.pixels
    answer = pixels.places["answer"]
    return [
        f"shortcut: with the lesion hidden the answer keeps {100 * answer.without_lesion:.1f} of "
        f"{100 * answer.intact:.1f} points of signal, and {pixels.right_without_lesion} of {pixels.right} images with "
        "a lesion that are answered rightly stay so; something else than the lesion is read"
    ]


def _occluded(evidence: Evidence, found: Places, hidden: Sequence[Occluded], names: Sequence[str]) -> Asked:
    images = images_at(evidence, found.rows)
    measured = ask(evidence, [image.altered(place) for image, place in zip(images, hidden, strict=True)])
    features = {name: measured.array(name) for name in names}
    return Asked(features, likeliest(measured), said_classes(measured.texts(), evidence.dataset))


def _tokens(
    evidence: Evidence, found: Places, resamples: Resamples, own: Mapping[Stage, list[str]], intact: Asked
) -> Hiding:
    """The lesion's image tokens replaced at the decoder's input; what lies before it does not change."""
    after: dict[Stage, list[str]] = {"llm": own["llm"]}

    def compute() -> Arrays:
        from medprobe.diagnostics.grounding.patching import UnknownLattice, read_patched

        try:
            return read_patched(evidence, found, own["llm"])
        except UnknownLattice as error:
            # Kept as bytes, since a second run must not load the model to learn it.
            return {"reason": np.frombuffer(str(error).encode(), dtype=np.uint8).astype(np.float32)}

    images = images_at(evidence, found.rows)
    hidden = [
        image.altered(place).digest
        for state in (found.lesion, found.elsewhere)
        for image, place in zip(images, state, strict=True)
    ]
    name = store.key(patched="1", features=evidence.measured.key, places=hidden)
    arrays = store.remembered(evidence.settings.store, name, compute)
    if "reason" in arrays:
        return Hiding(reason=arrays["reason"].astype(np.uint8).tobytes().decode())

    def asked(state: str) -> Asked:
        features = {locus: arrays[f"{state} {locus}"] for locus in own["llm"]}
        scores, said = arrays[f"{state} options"], arrays[f"{state} said"]
        return Asked(features, np.asarray(scores.argmax(axis=1), dtype=np.int64), said.astype(np.int64))

    return _hiding(evidence, found, resamples, after, (intact, asked("lesion"), asked("elsewhere")))


def _hiding(
    evidence: Evidence,
    found: Places,
    resamples: Resamples,
    own: Mapping[Stage, list[str]],
    states: tuple[Asked, Asked, Asked],
) -> Hiding:
    """The record of three states: intact, without the lesion, without an area elsewhere."""
    labels, rows = evidence.labels[found.rows], found.rows
    places: dict[Stage, Hidden] = {
        stage: _hidden(evidence, rows, resamples, _read(evidence, rows, loci, [state.features for state in states]))
        for stage, loci in own.items()
    }
    places["answer"] = _hidden(evidence, rows, resamples, [state.said for state in states])
    lesioned = found.lesioned
    intact, lesion, elsewhere = (state.likeliest[lesioned] for state in states)
    present, kinds = np.unique(labels[lesioned], return_inverse=True)
    drawn = Resamples(kinds, evidence.groups[rows][lesioned], len(present), evidence.settings.seed)
    changed = [np.where(state != intact, kinds, -1) for state in (lesion, elsewhere)]
    shares = [float(np.mean(change >= 0)) for change in changed]
    right = states[0].said == labels
    return Hiding(
        places=places,
        changed_by_lesion=shares[0],
        changed_by_elsewhere=shares[1],
        changed=Difference(
            change=shares[0] - shares[1], ci=interval(drawn.accuracy(changed[0]) - drawn.accuracy(changed[1]))
        ),
        right=int((right & lesioned).sum()),
        right_without_lesion=int((right & lesioned & (states[1].said == labels)).sum()),
        right_without_elsewhere=int((right & lesioned & (states[2].said == labels)).sum()),
    )


def _hidden(evidence: Evidence, rows: Ints, resamples: Resamples, read: Sequence[Ints]) -> Hidden:
    """Of the classes read in the three states."""
    points = [evidence.signal(predictions, rows) for predictions in read]
    drawn = [resamples.signal(predictions) for predictions in read]

    def less(after: int, before: int) -> Difference:
        return Difference(change=points[after] - points[before], ci=interval(drawn[after] - drawn[before]))

    return Hidden(
        intact=points[0],
        without_lesion=points[1],
        without_elsewhere=points[2],
        by_lesion=less(1, 0),
        by_elsewhere=less(2, 0),
        specific=less(1, 2),
    )


def _read(evidence: Evidence, rows: Ints, loci: Sequence[str], states: Sequence[Arrays]) -> list[Ints]:
    """The classes that probes trained on the intact images read in every state, by the exit's best own readout in each
    fold.
    """
    candidates: list[list[Candidate]] = [[] for _ in states]
    for locus in loci:
        altered = np.stack([state[locus] for state in states])
        log_probabilities, inner = read_altered(
            evidence.measured.array(locus), altered, rows, evidence.labels, evidence.groups, evidence.folds
        )
        for of_state, read in zip(candidates, log_probabilities.argmax(axis=2), strict=True):
            of_state.append(Candidate(locus, read, inner))
    return [exits.choose(of_state, evidence.folds[rows]).predictions for of_state in candidates]
