"""What is hidden of which image: its lesion, and an equal area elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from medprobe.diagnostics.arrays import Bools, Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.fixtures.datasets.errors import UnreadableImage
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.lesions.occlusion import Occluded, elsewhere, hull
from medprobe.fixtures.datasets.lesions.places import read_masks


class NothingHidden(ValueError):
    """Why no lesion can be hidden, in words."""


@dataclass(frozen=True)
class Places:
    """rows [n]: of the images; lesioned [n]: which have a lesion; what is hidden of each, once the lesion, once
    elsewhere. `n_left_out` images of the sample are not among them.
    """

    rows: Ints
    lesioned: Bools
    lesion: list[Occluded]
    elsewhere: list[Occluded]
    n_left_out: int


def places(evidence: Evidence) -> Places:
    """The places of the images of `evidence.sample()`. Raises NothingHidden.

    An image without a lesion borrows both places from one that has it, so that a filled place is no sign of the class.
    Where some images of a class have a lesion, those without are left out: where theirs lies is not known.
    """
    sample = evidence.sample()
    images = evidence.measured.images
    if not any(images[row].masks for row in sample):
        raise NothingHidden("no image has a lesion mask beside it")
    own: dict[int, tuple[Occluded, Occluded]] = {}
    unhidden: set[int] = set()
    for row in sample.tolist():
        try:
            has_lesion, pair = _own(images[row], evidence.settings.seed)
        except (UnreadableImage, OSError):
            has_lesion, pair = True, None
        if pair is not None:
            own[row] = pair
        elif has_lesion:
            unhidden.add(row)
    if not own:
        raise NothingHidden("no mask shows a lesion that leaves an equal area elsewhere")
    donors = sorted(own)
    diseased = {int(evidence.labels[row]) for row in (*own, *unhidden)}
    rows, chosen = [], []
    for row in sample.tolist():
        if row not in own and int(evidence.labels[row]) in diseased:
            continue
        rows.append(row)
        borrowed = donors[_number(f"{evidence.settings.seed} borrows", images[row]) % len(donors)]
        chosen.append(own.get(row) or own[borrowed])
    present = np.unique(evidence.labels[rows])
    if len(present) < evidence.n_classes:
        missing = [answer for k, answer in enumerate(evidence.dataset.answers) if k not in present]
        raise NothingHidden(f"no image of class {', '.join(missing)} has a lesion that leaves an equal area elsewhere")
    return Places(
        rows=np.array(rows, dtype=np.int64),
        lesioned=np.array([row in own for row in rows]),
        lesion=[pair[0] for pair in chosen],
        elsewhere=[pair[1] for pair in chosen],
        n_left_out=len(sample) - len(rows),
    )


def _own(image: ImageFile, seed: int) -> tuple[bool, tuple[Occluded, Occluded] | None]:
    """Whether the image has a lesion, and what is hidden of it where it leaves an equal area elsewhere."""
    if not image.masks:
        return False, None
    region = hull(read_masks(image.masks))
    if not region.any():
        return False, None
    shift = elsewhere(region, np.random.default_rng(_number(f"{seed} elsewhere", image)))
    if shift is None:
        return True, None
    lesion = Occluded.of(image.masks)
    return True, (lesion, replace(lesion, down=shift[0], right=shift[1]))


def _number(words: str, image: ImageFile) -> int:
    """Drawn by image, so that it does not depend on which others are in the sample."""
    return int.from_bytes(hashlib.sha256(f"{words} {image.digest}".encode()).digest()[:8], "little")
