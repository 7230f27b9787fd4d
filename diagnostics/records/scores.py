"""The records of scores: how well they rank images, whether they can be believed as probabilities, and what follows at
a threshold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import Record


class Measured(Record):
    """A value with its 95 percent interval over patient groups. What could not be computed is null, with the reason."""

    value: float | None = None
    ci: tuple[float, float] | None = None
    reason: str | None = None


class Auroc(Record):
    """Area under the ROC curve, each class against the rest, and the mean over the classes."""

    macro: Measured
    classes: dict[str, Measured]


class Bin(Record):
    """Images whose likeliest option has a probability in one tenth of 0 to 1."""

    confidence: float
    """The mean of that probability."""
    right: float
    """The share of these images whose likeliest option is their class."""
    n_images: int


class Probabilities(Record):
    """Whether the probabilities of the options can be believed."""

    brier: Measured
    ece: Measured
    reliability: list[Bin]


class OperatingPoint(Record):
    """A class against the rest at a threshold fixed beforehand, on its probability among the options."""

    asked: Literal["sensitivity", "threshold"]
    at: float
    """The sensitivity or the threshold that the manifest asks for."""
    thresholds: list[float]
    """One a fold, learnt on the other folds; a given one is the same in all."""
    sensitivity: Measured
    specificity: Measured


class PredictiveValues(Record):
    ppv: Measured
    npv: Measured


class AtPrevalence(Record):
    """What a reading of a class is worth where the class has this prevalence."""

    prevalence: float
    answer: PredictiveValues
    operating_point: PredictiveValues | None
    """Null where the manifest asks for no operating point of this class."""


class AnswerScores(Record):
    """What the scores of the answer, and of the exits before it, are worth."""

    auroc: dict[str, Auroc]
    """For each place of the chain, and `said`. The answer's scores are the likelihoods of the options. Those of `said`
    are 1 for the class that the text names and 0 for the others."""
    roc: dict[str, list[float]]
    """For each class at the answer: its sensitivity at false-positive rates of 0, 0.01, ... 1."""
    average_precision: dict[str, Measured]
    probabilities: Probabilities
    """Of the options as the model gives them."""
    probabilities_after_offset: Probabilities
    """Under one scale and an offset for each option, fitted on the other folds."""
    operating_point: dict[str, OperatingPoint] = Field(default_factory=dict)
    predictive_values: dict[str, AtPrevalence] = Field(default_factory=dict)
    f1: dict[str, Measured]
    """Of the class that the text names, as all that follow."""
    macro_f1: Measured
    kappa: Measured
    quadratic_kappa: Measured
