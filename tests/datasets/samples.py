"""Images and archives for small data sets."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

MANIFEST = """
name = "small"
modality = "drawing"
prompt = "Is it dark or bright?"
root = "pictures"
{top}
[[classes]]
answer = "dark"
images = ["dark/*"]
exclude = ["*_mask*"]
[[classes]]
answer = "bright"
synonyms = ["light"]
images = ["bright/*"]
{end}
"""


def png(seed: int, side: int = 24) -> bytes:
    """Noise, so that no two seeds look alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path
