"""What the answers fall short of, by which a counterfactual is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.judgement.resamples import ALPHA
from medprobe.diagnostics.judgement.verdicts import Judgement

PROBED = ("vision", "connector", "llm")
"""Places that a probe reads."""

Judged = Literal["likeliest", "said"]


@dataclass(frozen=True)
class Lost:
    """What the answers fall short of, on the rows of a sample.

    own: the class answered, [n_images], as `judged_on`. short: what was readable before the answer less the answers'
    signal, which counts from 0.
    """

    judged_on: Judged
    own: Ints
    short: float


def lost_before(evidence: Evidence, judged: Judgement) -> tuple[str, ...]:
    """The places whose best reading the answers fall short of; none where nothing is lost.

    A loss is a link that fails, or an answer that reads clearly less than a place before it, by more than half of what
    its own link may lose: a loss that several links share, or too few patients, may leave each of them undecided. What
    is lost at the tower the reference alone shows.
    """
    verdicts = {stage: link.verdict for stage, link in judged.links.items()}
    if verdicts["vision"] == "fail":
        return ("reference",)
    if "fail" in verdicts.values():
        return PROBED
    if not judged.carries_labels:
        return ()
    below = [place for place in ("reference", *PROBED) if _clearly_below(evidence, judged, place)]
    return PROBED if set(below) & set(PROBED) else tuple(below)


def _clearly_below(evidence: Evidence, judged: Judgement, place: str) -> bool:
    """Whether the answer reads clearly less than a place, by more than half of what its link may lose."""
    before, after = (evidence.resamples.signal(evidence.predictions[at], at) for at in (place, "answer"))
    least = (1 + judged.links["answer"].threshold) / 2
    less = judged.signal["answer"] < least * judged.signal[place]
    return less and bool(np.quantile(before - after, ALPHA) > 0)


def lost_on(evidence: Evidence, rows: Ints, places: Sequence[str], judged_on: Judged | None = None) -> Lost:
    """What the answers at `rows` fall short of: the best that is read at `places`.

    The likeliest option is judged, unless it falls short by less than half of what the text does: then the text is.
    """
    before = max(evidence.signal(evidence.predictions[place][rows], rows) for place in places)
    answers: dict[Judged, Ints] = {"likeliest": evidence.likeliest[rows], "said": evidence.said[rows]}
    short = {name: before - max(evidence.signal(values, rows), 0.0) for name, values in answers.items()}
    if judged_on is None:
        judged_on = "said" if short["likeliest"] < short["said"] / 2 else "likeliest"
    return Lost(judged_on, answers[judged_on], short[judged_on])
