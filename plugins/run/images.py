"""The images that a report shows with `--include-images`."""

from __future__ import annotations

from collections.abc import Sequence

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.plugins.call import Call


def images_of(call: Call, diagnoses: Sequence[Diagnosis]) -> list[dict[str, ImageFile]]:
    """The files of each diagnosis by id where images are asked for; none of a data set that can no longer be opened."""
    if not call.include_images:
        return []
    opened: dict[str, dict[str, ImageFile]] = {}
    for pair in call.pairs:
        name, settings = pair.dataset.name, call.settings
        if name not in opened:
            try:
                found = open_dataset(pair.dataset.manifest(), settings.data_root, settings.max_images, settings.seed)
                opened[name] = {image.id: image for image in found.images}
            except DataError:
                opened[name] = {}
    return [opened[diagnosis.dataset] for diagnosis in diagnoses]
