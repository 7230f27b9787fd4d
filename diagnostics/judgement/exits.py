"""Which locus is read as a stage's exit: chosen in every fold by what was read inside its training part.

What a later locus reads was there before it, so an exit's signal may come from one of its own readouts or from a later
locus. The choice never looks at held-out predictions: a maximum over those would flatter the places with many
candidates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS, REFERENCE_LOCUS, order
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.records.chain import Stage
from medprobe.diagnostics.scores import balanced_accuracy, first_best


@dataclass(frozen=True)
class Candidate:
    """Held-out predictions [n_images] of one locus, and its balanced accuracy inside each fold's training part."""

    locus: str
    predictions: NDArray[np.int64]
    inner_accuracy: NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The predictions that speak for an exit, and the locus that was chosen in each fold."""

    predictions: NDArray[np.int64]
    by_fold: tuple[str, ...]

    @property
    def loci(self) -> dict[str, int]:
        """In how many folds each locus was chosen."""
        return dict(Counter(self.by_fold))

    @property
    def locus(self) -> str:
        return leading(self.loci)


def leading(loci: Mapping[str, int]) -> str:
    """The locus chosen in most folds; the first wins a tie."""
    return max(loci, key=lambda locus: loci[locus])


def choose(candidates: Sequence[Candidate], folds: NDArray[np.int64]) -> Choice:
    """Each fold's images are read by the candidate read best inside the fold; the first wins a tie."""
    predictions = np.empty_like(candidates[0].predictions)
    chosen: list[str] = []
    for fold in range(int(folds.max()) + 1):
        best = candidates[int(first_best(np.array([c.inner_accuracy[fold] for c in candidates])))]
        predictions[folds == fold] = best.predictions[folds == fold]
        chosen.append(best.locus)
    return Choice(predictions, tuple(chosen))


def untrained(
    locus: str, labels: NDArray[np.int64], predictions: NDArray[np.int64], folds: NDArray[np.int64], n_classes: int
) -> Candidate:
    """A candidate that nothing was fitted for, such as the answer the model gave."""
    inner = [
        balanced_accuracy(labels[folds != f], predictions[folds != f], n_classes) for f in range(int(folds.max()) + 1)
    ]
    return Candidate(locus, predictions, np.array(inner))


def own_loci(names: Iterable[str]) -> dict[Stage, list[str]]:
    """The loci at each probe exit itself: what the connector consumes, what the decoder is given, its last token."""
    by_stage: dict[str, list[str]] = {}
    for name in sorted(names, key=order):
        by_stage.setdefault(name.split(".")[0], []).append(name)
    last_vision, last_llm = (by_stage[stage][-1].split(".")[1] for stage in ("vision", "llm"))
    return {
        "vision": [name for name in by_stage["vision"] if name.split(".")[1] == last_vision],
        "connector": by_stage["connector"],
        "llm": [f"llm.{last_llm}.last"],
    }


def of_chain(readings: Mapping[str, Reading], answer: Candidate, folds: NDArray[np.int64]) -> dict[str, Choice]:
    """The predictions that speak for each place of the chain."""

    def candidates(names: list[str]) -> list[Candidate]:
        return [Candidate(name, readings[name].predictions, readings[name].inner_accuracy) for name in names]

    loci = sorted((name for name in readings if name != REFERENCE_LOCUS), key=order)
    own = own_loci(loci)
    at_llm_exit = [*candidates([*own["llm"], OPTIONS_LOCUS]), answer]
    inside = [name for name in loci if name.startswith("llm.") and name not in own["llm"]]
    at_connector = [*candidates(own["connector"]), *at_llm_exit, *candidates(inside)]
    at_vision = [*candidates(own["vision"]), *at_connector]
    return {
        "reference": choose([*candidates([REFERENCE_LOCUS]), *at_vision], folds),
        "vision": choose(at_vision, folds),
        "connector": choose(at_connector, folds),
        "llm": choose(at_llm_exit, folds),
        "answer": choose([answer], folds),
    }
