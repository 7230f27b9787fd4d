"""Shuffled labels: whatever the model, nothing is named and the reason is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medprobe.diagnostics import diagnosis
from medprobe.diagnostics.evidence import gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve


@pytest.mark.parametrize("unit", ["patient", pytest.param("image", marks=pytest.mark.slow)])
def test_shuffled_labels_are_inconclusive(unit: str, phantoms: Path, store: Path) -> None:
    dataset = open_dataset(phantoms, None)
    labels, groups = np.array(dataset.labels()), np.array(dataset.groups())
    rng = np.random.default_rng(1)
    of_group = dict(zip(np.unique(groups), rng.permutation(np.unique(groups, return_index=True)[1]), strict=True))
    drawn = rng.permutation(labels) if unit == "image" else labels[[of_group[g] for g in groups]]
    images = tuple(replace(image, label=int(label)) for image, label in zip(dataset.images, drawn, strict=True))
    shuffled = replace(dataset, images=images, fingerprint=f"shuffled by {unit}")
    evidence = gather(ModelOnDemand(resolve("phantom"), Settings(store=store)), shuffled, lambda *_: None)
    found = diagnosis._conclude(evidence)
    assert found.verdict == "inconclusive"
    assert found.primary_failure_mode is None
    assert found.tied == []
    assert found.failure_modes is not None
    assert found.controls is not None
    assert found.controls.null.p >= 0.05
    for link in found.failure_modes.model_dump().values():
        assert link["verdict"] == "inconclusive"
        assert "these images do not carry the labels" in link["reason"]
