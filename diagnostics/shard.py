"""Part of an extraction, for jobs that run side by side and judge nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medprobe.diagnostics.evidence import require_readable
from medprobe.diagnostics.extraction.engine import engine
from medprobe.diagnostics.extraction.measurement import Progress, measure, part_of
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.datasets.dataset import open_dataset


def extract_part(model: ModelOnDemand, manifest: Path, progress: Progress) -> tuple[int, int]:
    """Fill the store with part `settings.shard` of the images; how many of the part it then holds, and how many images
    there are in all. Which share may be unreadable is asked of the whole, by the run that judges. Raises
    MissingClass, TooFewGroups and the errors of measuring.
    """
    settings = model.settings
    assert settings.shard is not None
    dataset = open_dataset(manifest, settings.data_root, settings.max_images, settings.seed)
    require_readable(np.array(dataset.labels()), np.array(dataset.groups()), dataset)
    mine = part_of(dataset, *settings.shard)
    measured = measure(model, mine, progress, engine(settings), max_excluded=1)
    return len(measured.images), len(dataset.images)
