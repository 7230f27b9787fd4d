"""Images of the data set in a page, small: only where `--include-images` asks for them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from medprobe.fixtures.datasets.errors import ChangedImage, UnreadableImage

if TYPE_CHECKING:
    from medprobe.fixtures.datasets.image_file import ImageFile

LONGEST = 96
"""Pixels of the longest side."""
QUALITY = 80
MARKUP = 160
"""Bytes of the page that a thumbnail takes beside its own, at most."""


def data_uri(image: ImageFile) -> str:
    """The picture as JPEG, without anything the file said about it. Raises UnreadableImage."""
    from medprobe.fixtures.datasets.images import open_image

    picture = open_image(image)
    picture.thumbnail((LONGEST, LONGEST))
    picture.info.clear()  # Pillow writes a comment found there into the JPEG
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def fitting(images: Iterable[ImageFile], room: int) -> dict[str, str]:
    """By id the first of the images that fit into `room` bytes of a page; one that can no longer be read is left
    out."""
    found: dict[str, str] = {}
    for image in images:
        try:
            uri = data_uri(image)
        except (UnreadableImage, ChangedImage):
            continue
        room -= len(uri) + MARKUP
        if room < 0:
            break
        found[image.id] = uri
    return found
