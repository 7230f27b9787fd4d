"""The pixel values that reach the tower, and the processor's numbers beside the published ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from medprobe.diagnostics import store
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.further_questions import images_at
from medprobe.diagnostics.records.cause import Key, Pixels
from medprobe.fixtures.datasets import selection
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.conventions import published
from medprobe.fixtures.models.size.image_tokens import MAX_PIXELS

SAMPLE = 32
"""Images whose pixel values are looked at."""
MEAN, DEVIATION = (-1.3, 1.3), (0.07, 3.0)
"""Bounds of what is usual. 32 images of the phantom and of the three published data sets, at 64 x 64 pixels, under the
three published normalisations have means of -0.64 to 0.66 and deviations of 0.15 to 1.49, noise up to 1.29
(`benchmarks/counterfactuals.py --pixels`); twice that is let pass. Values that are not rescaled lie at 100 and more,
those that are rescaled twice have deviations below 0.01.
"""
COMPARED = ("image_mean", "image_std", "rescale_factor", "size", "do_normalize", "do_rescale")
RECIPE = 1


class Moments:
    """Of the pixel values that the model's processor makes of the images looked at: count, sum and sum of squares."""

    def __init__(self, evidence: Evidence) -> None:
        self.images = images_at(evidence, np.array(_rows(evidence)))
        self._evidence = evidence
        self._wanted = {image.digest for image in self.images}
        self._found: dict[str, tuple[float, float, float]] = {}

    def see(self, image: ImageFile, picture: Image) -> None:
        """Take a picture that another pass has decoded, so that it is not decoded again."""
        if image.digest in self._wanted - self._found.keys():
            loaded, prompt = self._evidence.model.load(), self._evidence.dataset.prompt
            values = inputs(loaded, [picture], prompt)["pixel_values"].double()
            self._found[image.digest] = values.numel(), float(values.sum()), float((values**2).sum())

    def total(self) -> NDArray[np.float64]:
        """Over all images, [3]; pictures that did not pass are decoded."""
        for image in self.images:
            if image.digest not in self._found:
                self.see(image, open_image(image))
        total: NDArray[np.float64] = np.sum([self._found[image.digest] for image in self.images], axis=0)
        return total


def pixels(evidence: Evidence, moments: Moments) -> tuple[Pixels, list[str]]:
    """What reaches the tower, and the cautions it gives."""
    found = _remembered(evidence, moments)
    told = json.loads(found["told"].tobytes())
    known = published(told["model_type"], told["tower"], evidence.spec)
    differs = differing(told["settings"], known)
    mean, deviation = (float(value) for value in found["moments"])
    made = Pixels(n_images=len(moments.images), mean=mean, deviation=deviation, differs=differs)
    return made, cautions(made)


def differing(settings: Mapping[str, Any], known: Mapping[str, Any]) -> list[Key]:
    """Numbers of the image processor that are not the published ones; those that are not known are not compared."""
    theirs: dict[str, Any] = dict(known)
    if "size" in theirs and "longest_edge" in theirs["size"]:  # which loading caps
        theirs["size"] = {**theirs["size"], "longest_edge": min(theirs["size"]["longest_edge"], MAX_PIXELS)}
    for name, needs in (("do_normalize", "image_mean"), ("do_rescale", "rescale_factor")):
        if needs in theirs and name in settings:
            theirs[name] = True
    found = []
    for name, value in theirs.items():
        ours = settings.get(name)
        if ours is not None and not _same(ours, value):
            found.append(Key(path=f"image_processor.{name}", ours=ours, theirs=value))
    return found


def cautions(made: Pixels) -> list[str]:
    """What is unlike the published processors: settings, and the numbers that reach the tower."""
    found = [
        f"{key.path} is {_told(key.ours)}, and published models with this tower have {_told(key.theirs)}"
        for key in made.differs
    ]
    outside = [
        f"a {name} of {value:.2f} where published processors give {low:g} to {high:g}"
        for name, value, (low, high) in (("mean", made.mean, MEAN), ("deviation", made.deviation, DEVIATION))
        if not low <= value <= high
    ]
    if outside:
        found.append(f"the pixel values that reach the tower have {' and '.join(outside)}")
    return found


def _same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        kept = {key: value for key, value in ours.items() if value is not None}
        return set(kept) == set(theirs) and all(_same(kept[key], theirs[key]) for key in theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return bool(ours == theirs)
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return bool(np.isclose(ours, theirs, rtol=1e-3))
    return bool(ours == theirs)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            " x ".join(str(part) for part in value.values()) if set(value) == {"height", "width"} else json.dumps(value)
        )
    if isinstance(value, list):
        parts = [_told(part) for part in value]
        return parts[0] if len(set(parts)) == 1 else "[" + ", ".join(parts) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value).lower()


def _rows(evidence: Evidence) -> list[int]:
    images = evidence.measured.images
    keys: dict[int, str] = {}
    for image in images:
        keys[image.group] = min(image.digest, keys.get(image.group, image.digest))
    taken = selection.sample(evidence.groups.tolist(), evidence.labels.tolist(), keys, SAMPLE, evidence.settings.seed)
    rows = np.flatnonzero(np.isin(evidence.groups, list(taken)))
    return (rows if len(rows) else np.arange(min(SAMPLE, len(images)))).tolist()


def _remembered(evidence: Evidence, moments: Moments) -> dict[str, Any]:
    """moments: mean and standard deviation. told: JSON of the processor's numbers and the model types."""

    def compute() -> dict[str, Any]:
        loaded = evidence.model.load()
        n, first, second = moments.total()
        mean = first / n
        config = loaded.model.config
        tower = str(getattr(config.vision_config, "model_type", ""))
        numbers = loaded.processor.image_processor.to_dict()
        compared = {name: numbers[name] for name in COMPARED if numbers.get(name) is not None}
        told = {"model_type": config.model_type, "tower": tower, "settings": compared}
        return {
            "moments": np.array([mean, np.sqrt(max(second / n - mean**2, 0.0))]),
            "told": np.frombuffer(json.dumps(told, default=dict).encode(), dtype=np.uint8),
        }

    name = store.key(
        pixels=RECIPE,
        features=evidence.measured.key,
        images=hashlib.sha256(" ".join(image.digest for image in moments.images).encode()).hexdigest(),
    )
    return store.remembered(evidence.settings.store, name, compute)
