"""The records of `acceptance.json`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import ConfigDict, Field

from medprobe.diagnostics.records.chain import Record, VerdictValue
from medprobe.diagnostics.records.regression import Compared, Gate

Decision = Literal["accepted", "not_accepted", "undecided"]


class JudgedCriterion(Record):
    """One criterion, what was read, and the verdict."""

    kind: Literal["least", "margin", "retention", "health"]
    name: str
    """`sensitivity.malignant`, `change.sensitivity.malignant`, `change.answer`, `regression`, `retention.connector`."""
    asked: float | None
    """The least value, the loss that is accepted, or the share to be kept; null for `regression`, which is all that the
    comparison with the baseline decides together."""
    value: float | None
    ci: tuple[float, float] | None
    """95 percent; null for a retention, whose loss has its interval in `reason`."""
    verdict: VerdictValue
    reason: str


class Fingerprints(Record):
    """sha256 of what was judged: the model's files, the data set's images, labels and groups, the prompt. Null where
    nothing was measured."""

    model: str | None
    data: str | None
    prompt: str | None


class AcceptedModel(Record):
    """One model on one data set, held against the criteria."""

    model: str
    revision: str | None
    dataset: str
    n_images: int
    n_groups: int
    fingerprints: Fingerprints
    made: dict[str, str]
    """Device, dtype and batch size of the forward passes."""
    baseline: Compared | None
    decision: Decision
    why: str
    criteria: list[JudgedCriterion]


class CriteriaHeld(Record):
    """The file of criteria: its hash, and when the team says that it was fixed."""

    sha256: str
    fixed: date | None
    purpose: str | None


class Made(Record):
    """What made the record: facts, and the sha256 of them."""

    fingerprint: str
    facts: dict[str, str]


class Acceptance(Record):
    """Whether the models of a run meet criteria that were fixed beforehand: `acceptance.json`."""

    acceptance_schema: Literal[1] = Field(default=1, alias="schema")
    decision: Decision
    why: str
    criteria: CriteriaHeld
    judged: datetime
    """UTC, to the second."""
    gate: Gate
    seed: int
    suite: Made
    """Versions, and the hash of the suite's own code."""
    machine: Made
    """System, architecture and Python; no name of a machine, folder or user."""
    models: list[AcceptedModel]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)
