"""What is sampled where further forward passes are needed."""

from __future__ import annotations

import numpy as np
import pytest

from medprobe.diagnostics import evidence
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.images import draw_dataset


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evidence")
    dataset = open_dataset(draw_dataset(folder / "set", 24, 2, seed=3), None)
    return evidence.gather(
        ModelOnDemand(resolve("phantom"), Settings(store=folder / "store")), dataset, lambda *_: None
    )


def test_large_sets_are_sampled_by_whole_groups(found, monkeypatch):
    monkeypatch.setattr(evidence, "SAMPLE", 31)
    rows = found.sample()
    assert len(rows) == 30
    assert np.isin(found.groups, found.groups[rows]).sum() == len(rows)
    assert set(found.labels[rows]) == set(found.labels)


@pytest.mark.parametrize("size", [1, 48, 200])
def test_all_images_where_few_are_enough_or_too_few_hold_every_class(size, found, monkeypatch):
    monkeypatch.setattr(evidence, "SAMPLE", size)
    assert len(found.sample()) == 48
