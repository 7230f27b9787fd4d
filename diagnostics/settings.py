"""What one run was asked for, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medprobe.diagnostics import reference_presets
from medprobe.diagnostics.thresholds import Thresholds, load_thresholds
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelSpec

FOLD_SEEDS = 5
"""Assignments of folds over which a change at a probe exit is averaged, since a probe's own training varies."""

BATCH_SIZE = 16
"""Images of a batch where no memory is measured."""


@dataclass(frozen=True)
class Settings:
    """Everything but the model and the data set that a diagnosis depends on."""

    store: Path
    data_root: Path | None = None
    probe: Literal["ridge", "mlp"] = "ridge"
    reference: str = reference_presets.DEFAULT
    controls: Literal["quick", "full"] = "quick"
    treat: bool = False
    """Whether remedies are tried."""
    ground: bool = False
    """Whether lesions are hidden."""
    seed: int = 0
    n_folds: int = 5
    fold_seeds: int = 1
    """Under how many assignments of folds the probe exits are read."""
    load: LoadOptions = field(default_factory=LoadOptions)
    """How the model is loaded."""
    batch_size: int | None = None
    """Images in a forward pass; None: what fits a GPU, BATCH_SIZE on a CPU."""
    max_images: int | None = None
    max_excluded: float = 0.01
    """Largest share of images that may be unreadable."""
    against: ModelSpec | None = None
    """A second checkpoint, whose modules are swapped with the model's to find the cause of the difference."""
    against_adapter: str | None = None
    """The PEFT folder that the second checkpoint has."""
    tuned_from: str | None = None
    """Name of the checkpoint that the model was tuned from."""
    max_new_tokens: int = 32
    engine: Literal["local", "ray"] = "local"
    """Where features are extracted and probed: in this process, or on the nodes of a Ray cluster."""
    shard: tuple[int, int] | None = None
    """(i, n): extract part i of n, counted from 1, and judge nothing."""
    thresholds: Thresholds = field(default_factory=load_thresholds)
