"""The records of `report.json`. They import nothing but pydantic, so that reading a report is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, PrivateAttr

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
from medprobe.diagnostics.records.frames import flat, frame
from medprobe.diagnostics.records.grounding import Grounding
from medprobe.diagnostics.records.least import Criterion
from medprobe.diagnostics.records.regression import Gate, Pooled, Regression
from medprobe.diagnostics.records.scores import AnswerScores
from medprobe.diagnostics.records.subgroups import Attributes, Strata
from medprobe.fixtures.errors import MedprobeError

if TYPE_CHECKING:
    from pandas import DataFrame

CURVE_COLUMNS = ("model", "dataset", "curve", "layer", "accuracy", "ci.low", "ci.high", "auroc")
PREDICTION_COLUMNS = ("image", "group", "label")
PLAIN_COLUMNS = (
    *("model", "revision", "dataset", "n_images", "n_excluded", "n_groups", "error", "verdict"),
    *("primary_failure_mode", "cause.module", "regression.verdict"),
)
RECORD_COLUMNS = (
    *("signal.", "accuracy.", "failure_modes.", "health."),
    *("scores.auroc.", "scores.average_precision.", "scores.probabilities.brier.", "scores.probabilities.ece."),
    *("scores.f1.", "scores.macro_f1.", "scores.kappa.", "scores.quadratic_kappa.", "scores.predictive_values."),
)
"""How the keys of further columns of `Report.to_frame` begin."""


class Excluded(Record):
    image: str
    """Keyed hash of the image."""
    reason: str


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
    options: list[list[float]]
    """Log-likelihoods of the options, a list an image."""
    made: dict[str, str]
    """Device, dtype and batch size of the forward passes."""
    strata: dict[str, Strata] = Field(default_factory=dict)
    """By attribute of the data set, the stratum of each image."""


class Diagnosis(Record):
    """One model on one data set: the verdict on every link of the chain, and all that was measured."""

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
    scores: AnswerScores | None = None
    least: list[Criterion] = Field(default_factory=list)
    """What the thresholds require of the answer; empty unless they require something."""
    curves: Curves | None = None
    health: Health | None = None
    health_limits: list[HealthLimit] = Field(default_factory=list)
    """The least scores asked for; empty unless the thresholds set any."""
    answer: AnswerReading | None = None
    exits: dict[str, Exit] = Field(default_factory=dict)
    reference: Reference | None = None
    cautions: list[str] = Field(default_factory=list)
    controls: Controls | None = None
    attributes: Attributes | None = None
    """Null where the manifest names no attributes."""
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

    _predictions: Predictions | None = PrivateAttr(default=None)

    @property
    def predictions(self) -> Predictions | None:
        """What was read of every image. No part of `report.json`, which keeps it in a file of its own; None where that
        is missing and where the diagnosis ended in an error.
        """
        return self._predictions

    def with_predictions(self, predictions: Predictions) -> Diagnosis:
        """This diagnosis, which holds its predictions."""
        held = self.model_copy()
        held._predictions = predictions
        return held

    def curves_frame(self) -> DataFrame:
        """The curves as a table of pandas: a row a layer of a curve, accuracy raw with its 95 percent interval. Empty
        where the diagnosis ended in an error. Raises MedprobeError without pandas.
        """
        rows = [
            {"model": self.model, "dataset": self.dataset, "curve": name, **dict(flat(layer.model_dump()))}
            for name, layers in self.curves or ()
            for layer in layers
        ]
        return frame(rows, CURVE_COLUMNS)

    def predictions_frame(self) -> DataFrame:
        """The predictions as a table of pandas: a row an image, with its keyed hash, patient group and true class, and
        a column for each place of the chain and each locus. Values are names of classes; None where the answer names
        none. Raises MedprobeError without predictions and without pandas.
        """
        found = self._predictions
        if found is None:
            raise MedprobeError(
                f"there are no predictions of {self.model} on {self.dataset}: "
                + (self.error or "no predictions.json lies beside the page of the diagnosis")
            )
        read = {**found.places, **found.loci}
        names = {-1: None, **dict(enumerate(found.classes))}
        named = ([names[k] for k in classes] for classes in (found.labels, *read.values()))
        rows = zip(found.images, found.groups, *named, strict=True)
        columns = (*PREDICTION_COLUMNS, *read)
        return frame([dict(zip(columns, row, strict=True)) for row in rows], columns)


class Report(Record):
    """What a run has found: `report.json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    suite: dict[str, Any]
    verdict: VerdictValue | None
    gate: Gate = "absolute"
    """Whose verdict it is."""
    outdated: list[str] = Field(default_factory=list)
    """Accepted failures that pass, a sentence each; their checks are red, whatever the verdict."""
    pooled: list[Pooled] = Field(default_factory=list)
    """Of each model that was compared with its baseline on several data sets."""
    diagnoses: list[Diagnosis]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_frame(self) -> DataFrame:
        """The report as a table of pandas: a row a diagnosis. Columns are keys of `report.json` joined by dots, as
        `signal.connector` and `failure_modes.connector_fidelity_loss.ci.low`. Raises MedprobeError without pandas.
        """
        rows = [dict(flat(diagnosis.model_dump())) for diagnosis in self.diagnoses]
        more = dict.fromkeys(key for row in rows for key in row if key.startswith(RECORD_COLUMNS))
        return frame([{key: row.get(key) for key in (*PLAIN_COLUMNS, *more)} for row in rows], [*PLAIN_COLUMNS, *more])
