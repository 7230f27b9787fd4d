"""The records of the controls."""

from __future__ import annotations

from typing import Literal

from medprobe.diagnostics.records.chain import Record


class Null(Record):
    """What the same reading finds when labels are permuted by whole group: the largest signal over `loci`, once a
    permutation.
    """

    probe: Literal["ridge"]
    """What read the permuted labels; under the paper's probe too, whose training is too dear to repeat so often."""
    n_permutations: int
    loci: list[str]
    band: float
    """95 percent quantile of the largest signal."""
    accuracy: tuple[float, float]
    """The band in raw accuracy: 5 percent quantile of the least, 95 percent quantile of the largest over `loci`."""
    p: float
    """Of the reference's signal: (1 + permutations whose largest signal reaches it) / (1 + n_permutations)."""


class Floor(Record):
    """What a trivial look at the images reads, by the same probe on the same folds."""

    signal: float
    ci: tuple[float, float]
    accuracy: float
    p: float
    """Of the signal, under its own null."""


class FileFacts(Floor):
    """The floor of what the file tells before a pixel is decoded."""

    facts: list[str]
    """The facts that differ between images."""
    within: dict[str, float] | None
    """Signal at each place of the chain between images whose files look alike; null where no stratum holds two
    classes."""
    n_within: int
    """Images in strata that hold two classes."""


class TwinExit(Record):
    """Signal at one exit of the model and of its untrained twin, on the same images."""

    model: float
    twin: float
    twin_accuracy: float


class Twin(Record):
    """The model's architecture with tower and connector drawn at random; null exits where it was not read."""

    n_images: int
    reason: str | None
    """Why it was not read."""
    vision: TwinExit | None
    connector: TwinExit | None


class Selectivity(Record):
    real: float
    control: float
    """Signal of random labels of groups, with images of a group on both sides of a fold."""
    selectivity: float


class ControlTask(Record):
    """Hewitt and Liang 2019: what the probe can learn by heart about a patient's images, at each exit's loci."""

    shared: float
    """Share of images that share a group with another."""
    reason: str | None
    """Why it does not apply."""
    loci: dict[str, Selectivity]


class Controls(Record):
    asked: Literal["quick", "full"]
    null: Null
    pixels: Floor
    """Of 16 x 16 grey pixels."""
    file_facts: FileFacts
    twin: Twin
    control_task: ControlTask
