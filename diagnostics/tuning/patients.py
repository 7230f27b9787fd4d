"""Which patients are held out, and the manifest by which they are diagnosed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import Dataset
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.manifest import load_manifest
from medprobe.fixtures.datasets.selection import draw, sample

LEAST = 3
"""Held-out patients of a class, which a diagnosis needs for its folds."""

Images = tuple[ImageFile, ...]


@dataclass(frozen=True)
class Sides:
    """The images of the patients on each side; those tuned on may be fewer than may be (`--max-images`)."""

    tuned: Images
    tunable: Images
    held_out: Images


def split(dataset: Dataset, share: float, max_images: int | None = None, seed: int = 0) -> Sides:
    """Hold out about `share` of the patients, by a hash of what names each: more images move nobody.

    Raises DataError where a class is missing on either side.
    """
    held = [draw(image.patient, "held out") < share * 2**64 for image in dataset.images]
    tunable = tuple(image for image, out in zip(dataset.images, held, strict=True) if not out)
    held_out = tuple(image for image, out in zip(dataset.images, held, strict=True) if out)
    tuned = tunable if max_images is None else _some(tunable, max_images, seed)
    for label, answer in enumerate(dataset.answers):
        here, there = (len({i.group for i in side if i.label == label}) for side in (tuned, held_out))
        if here < 1 or there < LEAST:
            raise DataError(
                f"Data set {dataset.name!r}: of class {answer!r} {here} patients would be tuned on and {there} held "
                f"out, and 1 and {LEAST} are needed; give another --held-out, or more images."
            )
    return Sides(tuned, tunable, held_out)


def _some(images: Images, max_images: int, seed: int) -> Images:
    groups, labels = [i.group for i in images], [i.label for i in images]
    taken = sample(groups, labels, {i.group: i.patient for i in images}, max_images, seed)
    return tuple(image for image in images if image.group in taken)


def held_out_manifest(asked: Path, dataset: Dataset, tunable: Sequence[ImageFile]) -> str:
    """The TOML of the data set `asked` without the patients of `tunable`. Whether the model has seen the others is as
    well known as it was.
    """
    seen = [*load_manifest(asked).seen, *(image.name for image in tunable)]
    names = "".join(f"    {json.dumps(name, ensure_ascii=False)},\n" for name in seen)
    extended = asked.stem if catalog.is_builtin(asked) else asked.absolute().as_posix()
    return (
        "# The patients that an adapter was not tuned on, written by `medprobe tune`.\n"
        f"extends = {json.dumps(extended, ensure_ascii=False)}\n"
        f'contamination = "{dataset.contamination}"\n'
        f"seen_groups = true\nseen = [\n{names}]\n"
    )
