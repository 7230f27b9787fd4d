"""Small pictures in the store, by the digest of their image: a second model on the same images decodes none for its
controls. They stay on this machine, also where the store is the copy of a URL.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.extraction.ahead import ahead
from medprobe.fixtures.datasets.facts import FileFacts
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.small_pictures import SmallPicture, open_both

NAME = store.PICTURES + store.key(small_pictures=1)
"""The folder of the store. The number is raised with what changes a small picture."""
DECODED = 32
"""Pictures that are decoded ahead of their use."""


class SmallPictures:
    """The small pictures of a store."""

    def __init__(self, root: Path) -> None:
        self._folder = store.Folder(root, NAME)
        self._held = self._folder.images()

    def keep(self, found: Mapping[str, SmallPicture]) -> None:
        """Write those the store lacks, by digest. Raises StoreError."""
        fresh = {digest: small for digest, small in found.items() if digest not in self._held}
        if fresh:
            with self._folder.lock():
                self._add(fresh)

    def of(self, images: Sequence[ImageFile]) -> list[SmallPicture]:
        """The small picture of each unaltered image; those the store lacks are decoded. Raises UnreadableImage,
        ChangedImage and StoreError.
        """
        if any(image.digest not in self._held for image in images):
            with self._folder.lock():
                self._held = self._folder.images()
                missing = {image.digest: image for image in images if image.digest not in self._held}
                small = ahead(lambda image: open_both(image)[1], missing.values(), DECODED, 4)
                self._add(dict(zip(missing, small, strict=True)))
        with suppress(OSError):  # a store that may only be read
            os.utime(self._folder.path)
        digests = [image.digest for image in images]
        arrays = self._folder.arrays(("grey16", "grey64"), digests)
        return [
            SmallPicture(grey16, grey64, told["width"], told["height"], FileFacts(**told["facts"]))
            for grey16, grey64, told in zip(
                arrays["grey16"], arrays["grey64"], map(json.loads, self._folder.texts(digests)), strict=True
            )
        ]

    def _add(self, fresh: Mapping[str, SmallPicture]) -> None:
        if not fresh:
            return
        arrays = {name: np.stack([getattr(small, name) for small in fresh.values()]) for name in ("grey16", "grey64")}
        texts = [
            json.dumps({"width": small.width, "height": small.height, "facts": asdict(small.facts)})
            for small in fresh.values()
        ]
        self._folder.add(store.Shard(list(fresh), arrays, texts))
        self._held |= set(fresh)
