"""The records of the chain: stages, readings, links and their verdicts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Stage = Literal["vision", "connector", "llm", "answer"]


Place = Literal["input", "vision", "connector", "llm", "answer"]
"""Where a cause can sit: a stage, or the input (processor, chat template, numbers of the configuration)."""


Readout = Literal["mean", "grid", "attention", "last"]


VerdictValue = Literal["pass", "fail", "inconclusive"]


FailureMode = Literal[
    "visual_representation_quality",
    "connector_fidelity_loss",
    "llm_comprehension_deficit",
    "semantic_mapping_misalignment",
]


STAGES: tuple[Stage, ...] = ("vision", "connector", "llm", "answer")


PLACES: tuple[Place, ...] = ("input", *STAGES)
"""The players of a swap, in the order in which the signal passes them."""


FAILURE_MODES: dict[Stage, FailureMode] = {
    "vision": "visual_representation_quality",
    "connector": "connector_fidelity_loss",
    "llm": "llm_comprehension_deficit",
    "answer": "semantic_mapping_misalignment",
}


HealthCurve = Literal["vision", "connector", "llm_mean", "llm_last"]
"""The curves that have a Feature Health Score."""


Measure = Literal["sensitivity", "specificity"]
"""What is read of one class against the rest."""


CHAIN: tuple[str, ...] = ("reference", *STAGES)
"""The places whose signal the chain compares, in order; each link ends at a stage."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(Record):
    """One point of a curve. Accuracy is raw, as in the paper; `ci` is its 95 percent interval."""

    layer: int
    accuracy: float
    ci: tuple[float, float]
    auroc: float | None


class Curves(Record):
    """Accuracy by layer; the last layer of a stage is read at the stage's exit."""

    vision: list[Layer]
    vision_grid: list[Layer]
    connector: list[Layer]
    connector_grid: list[Layer]
    llm_mean: list[Layer]
    llm_last: list[Layer]


class JudgedLink(Record):
    """What follows for a link from predictions and the retention asked for."""

    verdict: VerdictValue
    reason: str
    loss: float
    ci: tuple[float, float]
    retention: float | None
    threshold: float


class Link(JudgedLink):
    """One link of the chain, judged: loss and interval in signal, `threshold` is the retention asked for."""

    locus: str


class FailureModes(Record):
    visual_representation_quality: Link
    connector_fidelity_loss: Link
    llm_comprehension_deficit: Link
    semantic_mapping_misalignment: Link


class Chain(Record):
    """One number a place of the chain."""

    reference: float
    vision: float
    connector: float
    llm: float
    answer: float


class Accuracy(Chain):
    chance: float
    """The accuracy of always saying the largest class."""


class Health(Record):
    """Feature Health Scores (arXiv 2604.08333); `answer` is the plain accuracy that ends the paper's profile."""

    vision: float
    connector: float
    llm_mean: float
    llm_last: float
    answer: float


class Difference(Record):
    """A difference of signal, paired over the same images, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]


class HealthLimit(Record):
    """A Feature Health Score held against its least value, or its drop since the baseline against the largest.

    `value` is the score or the drop, `ci` its 95 percent interval over resamples of the curve.
    """

    curve: HealthCurve
    verdict: VerdictValue
    reason: str
    value: float
    ci: tuple[float, float]
    limit: float


class Exit(Record):
    """Which loci an exit's held-out predictions were taken from, and in how many folds each."""

    loci: dict[str, int]
    below_chance: bool


class Reference(Record):
    """What the images allow, read by a supervised network on the same folds."""

    network: str
    pretrained: bool
    origin: str
    """Where its weights came from and how it was read, in words."""
    raised_by: str | None
    """The later locus that read more than the reference and so raised it, if one did."""


class Share(Record):
    """A share of images with its 95 percent interval over patient groups."""

    value: float
    ci: tuple[float, float]


def worst(verdicts: list[VerdictValue | None]) -> VerdictValue | None:
    """The verdict of a whole: null on any error, else fail over inconclusive over pass."""
    if not verdicts or None in verdicts:
        return None
    return next(value for value in ("fail", "inconclusive", "pass") if value in verdicts)
