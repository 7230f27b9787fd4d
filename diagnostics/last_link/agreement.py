"""Whether the likeliest option is the class that the text names."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.judgement.resamples import interval

LEAST = 0.05
"""Share of the texts naming a class that may name another than the likeliest option. Greedy decoding writes what is
likeliest: docs/studies/happening.md has both signals of healthy models.
"""


def disagreement(evidence: Evidence) -> list[str]:
    """A caution where the share is above LEAST, the lower bound of its interval over resamples of groups too."""
    named = evidence.said >= 0
    differ = named & (evidence.said != evidence.likeliest)
    if not differ.any():
        return []
    part, whole = (evidence.resamples.accuracy(np.where(at, evidence.labels, -1)) for at in (differ, named))
    low, _ = interval(np.divide(part, whole, out=np.zeros_like(part), where=whole > 0))
    if low <= LEAST:
        return []
    return [
        f"the likeliest option and the text differ in {differ.sum()} of {named.sum()} answers that name a class: "
        "either the options are not what the model writes, or its decoding departs from its likelihoods"
    ]
