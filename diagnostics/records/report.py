"""The records of `report.json`. They import nothing but pydantic, so that reading a report is cheap."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from medprobe.diagnostics.records.answer import AnswerReading, Treatments
from medprobe.diagnostics.records.cause import Cause, Counterfactuals, Pixels
from medprobe.diagnostics.records.chain import (
    Accuracy,
    Chain,
    Curves,
    Exit,
    FailureMode,
    FailureModes,
    Health,
    HealthLimit,
    Record,
    Reference,
    Share,
    Stage,
    VerdictValue,
)
from medprobe.diagnostics.records.controls import Controls
from medprobe.diagnostics.records.grounding import Grounding
from medprobe.diagnostics.records.regression import Gate, Regression


class Excluded(Record):
    image: str
    """Keyed hash of the image."""
    reason: str


class Diagnosis(Record):
    model: str
    revision: str | None
    dataset: str
    n_images: int = 0
    n_excluded: int = 0
    n_groups: int = 0
    excluded: list[Excluded] = Field(default_factory=list)
    contamination: Literal["held_out", "unknown"] = "unknown"
    error: str | None = None
    verdict: VerdictValue | None = None
    primary_failure_mode: FailureMode | None = None
    tied: list[FailureMode] = Field(default_factory=list)
    failure_modes: FailureModes | None = None
    accuracy: Accuracy | None = None
    signal: Chain | None = None
    signal_ci: dict[str, tuple[float, float]] = Field(default_factory=dict)
    minimum_loss: float | None = None
    """The smallest loss, in signal, that this many images can tell from none."""
    classes: list[str] = Field(default_factory=list)
    confusion: dict[str, list[list[int]]] = Field(default_factory=dict)
    """For each place of the chain a matrix: rows are the true class, columns what was read; the answer has a last
    column for text that names no class."""
    sensitivity: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """For each place of the chain and each class: the share of the class's images that are read as the class."""
    specificity: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """For each place of the chain and each class: the share of the other images that are not read as the class."""
    curves: Curves | None = None
    health: Health | None = None
    health_limits: list[HealthLimit] = Field(default_factory=list)
    """The least scores asked for; empty unless the thresholds set any."""
    answer: AnswerReading | None = None
    exits: dict[str, Exit] = Field(default_factory=dict)
    reference: Reference | None = None
    cautions: list[str] = Field(default_factory=list)
    controls: Controls | None = None
    regression: Regression | None = None
    cause: Cause | None = None
    """Null where no second checkpoint was given and no link fails whose cause is open."""
    counterfactuals: Counterfactuals | None = None
    pixels: Pixels | None = None
    treatments: Treatments | None = None
    grounding: Grounding | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """What a repetition needs: probe, seed, folds, dtype, device, batch size, prompt, fingerprints."""
    timing: dict[str, float] = Field(default_factory=dict)


class Predictions(Record):
    """What was read of every image, out of fold: enough to repeat every verdict and to pair two runs image by image."""

    model: str
    dataset: str
    data_fingerprint: str
    prompt: str
    probe: str
    classes: list[str]
    images: list[str]
    """Keyed hashes."""
    labels: list[int]
    groups: list[int]
    places: dict[str, list[int]]
    """The class read at each place of the chain; -1 where the answer names none."""
    exits: dict[Stage, list[list[int]]]
    """The class read at each probe exit from its own readouts, one list a fold seed; the first is the diagnosis's own
    folds, further ones are there where a baseline was compared or saved."""
    loci: dict[str, list[int]]
    """The class read at each locus, of which the curves are made."""
    made: dict[str, str]
    """Device, dtype and batch size of the forward passes."""


class Report(Record):
    schema_version: Literal[1] = Field(default=1, alias="schema")
    suite: dict[str, Any]
    verdict: VerdictValue | None
    gate: Gate = "absolute"
    """Whose verdict it is."""
    outdated: list[str] = Field(default_factory=list)
    """Accepted failures that pass, a sentence each; their checks are red, whatever the verdict."""
    diagnoses: list[Diagnosis]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)
