"""The records of the answer: the last link in three steps, and what remedies give back."""

from __future__ import annotations

from typing import Literal

from medprobe.diagnostics.records.chain import Difference, Record


class Steps(Record):
    """What each step of the last link changes."""

    options: Difference
    """From the last layer to what the option likelihoods hold."""
    likeliest: Difference
    """From there to the likeliest option."""
    said: Difference
    """From there to the class the text names."""


class Rewording(Record):
    """The same images under other words: signal of what was said and of the likeliest option, in both wordings."""

    prompt: str
    n_images: int
    agreement: float
    """Share of images whose likeliest option is the same in both wordings."""
    said: float
    likeliest: float
    said_as_asked: float
    likeliest_as_asked: float


class AnswerReading(Record):
    """Signal of the answer read in three ways, and how much of it the picture decides."""

    readable_in_options: float
    random_tokens: float
    """Signal of the same probe on as many random tokens: the control of `readable_in_options`."""
    likeliest: float
    calibrated: float
    """Signal of the likeliest option under an offset for each option, fitted inside the folds."""
    said: float
    steps: Steps
    calibration: Difference
    """What the calibration gives back at the likeliest option."""
    blank_image: float
    """Share of images whose likeliest option stays the same when the picture is blank."""
    swapped_image: float
    """Share whose likeliest option stays the same when an image of another class takes the place."""
    modality_reliance: float
    """1 - swapped_image: how much of the answer the picture decides."""
    option_order: Rewording | None
    """The options of the prompt in reverse order; null where the prompt does not name each once."""
    paraphrases: list[Rewording]
    unparseable: float
    """Share of images whose text names no class, or several; counted as wrong."""
    refused: float
    """Share of images whose text names no class and declines to, a part of `unparseable`."""
    option_score: str
    """How an option's likelihood was made from its tokens."""


RemedyName = Literal[
    "calibration",
    "batch_prior",
    "blank_prior",
    "blank_contrast",
    "noise_contrast",
    "image_guidance",
    "option_order",
    "prompts",
    "options_probe",
    "llm_probe",
    "connector_probe",
]
"""Remedies that need no training of the model: offsets of the options fitted on labelled images; the options' prior
taken off, read from the other images or from a blank one; contrast with a blank or noised image; guidance away from the
question without a picture; the mean over both orders of the options and over paraphrases; probes on the option
likelihoods, at the last layer and at the decoder's input used as the answer.
"""


class Treatment(Record):
    """What one remedy gives: signal and change against the answer as said, null where `reason` says why not tried."""

    name: RemedyName
    signal: float | None = None
    change: Difference | None = None
    helps: bool | None = None
    """Whether signal and change are above 0 with all remedies counted."""
    passes: float
    """Forward passes an image beside the model's own; a blank picture or none is asked once for all."""
    labelled: bool
    """Whether it learns from labelled images, of other folds here."""
    reason: str | None = None


class Treatments(Record):
    """Remedies tried on the same `n_images`. `lost` is the reference's signal less `said`, which counts from 0."""

    n_images: int
    said: float
    lost: float
    trials: list[Treatment]
