"""Further questions about images already measured: in other words, or with the picture changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.measurement import OPTIONS, Measurement, measure
from medprobe.diagnostics.extraction.small_pictures import SmallPictures
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.lesions.alterations import Blank


def ask(evidence: Evidence, images: Sequence[ImageFile], prompt: str | None = None) -> Measurement:
    """What the model answers about `images`, under `prompt` or as the data set asks."""
    asked = replace(
        evidence.dataset, prompt=prompt or evidence.dataset.prompt, images=tuple(images), unreadable=(), notes=()
    )
    return measure(evidence.model, asked, evidence.progress)


def images_at(evidence: Evidence, rows: Ints) -> list[ImageFile]:
    """The images of these rows of the features."""
    return [evidence.measured.images[row] for row in rows]


def blanks_at(evidence: Evidence, rows: Ints) -> list[ImageFile]:
    """Mid-grey pictures of the same sizes; those of one size are one to the store."""
    images = images_at(evidence, rows)
    small = SmallPictures(evidence.settings.store).of(images)
    return [image.altered(Blank(of.width, of.height)) for image, of in zip(images, small, strict=True)]


def likeliest(measured: Measurement) -> Ints:
    """The class of the likeliest option, [n_images]."""
    return np.asarray(measured.array(OPTIONS).argmax(axis=1), dtype=np.int64)
