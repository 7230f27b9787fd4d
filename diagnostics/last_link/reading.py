"""What the answer holds of the last layer, in three steps, and how much of it the picture decides."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.extraction.answers import OPTION_SCORE, refuses
from medprobe.diagnostics.extraction.measurement import OPTIONS, RANDOM_TOKENS
from medprobe.diagnostics.further_questions import ask, blanks_at, images_at, likeliest
from medprobe.diagnostics.judgement.resamples import interval
from medprobe.diagnostics.last_link.calibration import calibrated
from medprobe.diagnostics.last_link.rewording import reversed_options
from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS
from medprobe.diagnostics.probes.ridge import read
from medprobe.diagnostics.records.answer import AnswerReading, Rewording, Steps
from medprobe.diagnostics.records.chain import Difference


def read_answer(evidence: Evidence) -> AnswerReading:
    """The record of the last link."""
    options = evidence.measured.array(OPTIONS)
    after_calibration = calibrated(options, evidence.labels, evidence.folds)
    readable = evidence.readings[OPTIONS_LOCUS].predictions
    texts = evidence.measured.texts()
    rows = evidence.sample()
    swapped = _same_when_swapped(evidence)
    order = reversed_options(evidence.dataset.prompt, evidence.dataset.answers)
    return AnswerReading(
        readable_in_options=evidence.signal(readable),
        random_tokens=_random_tokens(evidence),
        likeliest=evidence.signal(evidence.likeliest),
        calibrated=evidence.signal(after_calibration),
        said=evidence.signal(evidence.said),
        steps=Steps(
            options=_difference(evidence, evidence.chosen["llm"].predictions, readable),
            likeliest=_difference(evidence, readable, evidence.likeliest),
            said=_difference(evidence, evidence.likeliest, evidence.said),
        ),
        calibration=_difference(evidence, evidence.likeliest, after_calibration),
        unparseable=float(np.mean(evidence.said < 0)),
        refused=float(np.mean([k < 0 and refuses(t) for k, t in zip(evidence.said, texts, strict=True)])),
        option_score=OPTION_SCORE,
        blank_image=_same_when_blank(evidence, rows),
        swapped_image=swapped,
        modality_reliance=1 - swapped,
        option_order=None if order is None else _reworded(evidence, rows, order),
        paraphrases=[_reworded(evidence, rows, prompt) for prompt in evidence.dataset.paraphrases],
    )


def _difference(evidence: Evidence, before: Ints, after: Ints) -> Difference:
    """Signal of `after` minus that of `before`, paired over the resamples of groups."""
    drawn = evidence.resamples.signal(after) - evidence.resamples.signal(before)
    return Difference(change=evidence.signal(after) - evidence.signal(before), ci=interval(drawn))


def _random_tokens(evidence: Evidence) -> float:
    """Signal of the probe on the likelihoods of as many random tokens as there are options, averaged over draws."""
    tokens = evidence.measured.array(RANDOM_TOKENS)
    draws = np.split(tokens, tokens.shape[1] // evidence.n_classes, axis=1)
    probe, seed = evidence.settings.probe, evidence.settings.seed
    read_draws = (read(probe, draw, evidence.labels, evidence.groups, evidence.folds, seed) for draw in draws)
    return float(np.mean([evidence.signal(reading.predictions) for reading in read_draws]))


def _same_when_swapped(evidence: Evidence) -> float:
    """Share of images whose likeliest option is also that of an image of another class put in its place.

    All images are asked the same question, so the answer to a swapped image is known without asking. Averaged over all
    images that could take the place, classes counting alike: 0 where every class has an answer of its own, 1 where the
    picture decides nothing.
    """
    k = evidence.n_classes
    joint = np.zeros((k, k))
    np.add.at(joint, (evidence.labels, evidence.likeliest), 1)
    answers = joint / joint.sum(axis=1, keepdims=True)
    agreement = answers @ answers.T
    return float(agreement[~np.eye(k, dtype=bool)].mean())


def _same_when_blank(evidence: Evidence, rows: Ints) -> float:
    """Share of the images at `rows` whose likeliest option stays the same when every pixel is mid-grey."""
    blanks = ask(evidence, blanks_at(evidence, rows))
    return float(np.mean(likeliest(blanks) == evidence.likeliest[rows]))


def _reworded(evidence: Evidence, rows: Ints, prompt: str) -> Rewording:
    """The question in the words of `prompt`, asked of the images at `rows`."""
    asked = ask(evidence, images_at(evidence, rows), prompt)
    option, said = likeliest(asked), said_classes(asked.texts(), evidence.dataset)
    return Rewording(
        prompt=prompt,
        n_images=len(rows),
        agreement=float(np.mean(option == evidence.likeliest[rows])),
        said=evidence.signal(said, rows),
        likeliest=evidence.signal(option, rows),
        said_as_asked=evidence.signal(evidence.said[rows], rows),
        likeliest_as_asked=evidence.signal(evidence.likeliest[rows], rows),
    )
