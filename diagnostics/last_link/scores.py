"""The scores of what was read of a model, and what they are worth."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.measurement import OPTIONS
from medprobe.diagnostics.judgement.scores_of_answer import Scored, Wanted, scores_of_answer
from medprobe.diagnostics.last_link.calibration import calibrated_probabilities
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.scores import AnswerScores


def read_scores(evidence: Evidence) -> AnswerScores:
    """The record of the scores."""
    options, dataset = evidence.measured.array(OPTIONS), evidence.dataset
    scored = Scored(
        labels=evidence.labels,
        groups=evidence.groups,
        folds=evidence.folds,
        classes=dataset.answers,
        said=evidence.said,
        options=options.astype(np.float64),
        calibrated=calibrated_probabilities(options, evidence.labels, evidence.folds),
        exits={place: evidence.scores_at(place) for place in CHAIN if place != "answer"},
        resamples=evidence.resamples,
        seed=evidence.settings.seed,
    )
    return scores_of_answer(scored, Wanted(dataset.operating_point, dataset.prevalence, dataset.ordinal))
