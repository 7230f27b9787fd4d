"""Image files of every form that is read, from one picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

HEIGHT, WIDTH = 13, 11


def picture() -> np.ndarray:
    """Grey values of a ramp with noise, [HEIGHT, WIDTH]."""
    noise = np.random.default_rng(0).integers(0, 30, (HEIGHT, WIDTH))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((9 * rows + 8 * columns + noise) % 256).astype(np.uint8)


GREY = picture()
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], -1)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def dicom(syntax: str = ExplicitVRLittleEndian, photometric: str = "MONOCHROME2", **tags: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = HEIGHT, WIDTH, 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = GREY.tobytes() + b"\0" * (GREY.size % 2)
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def written(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def run_length() -> bytes:
    dataset = dicom()
    dataset.compress(RLELossless, generate_instance_uid=False)
    return written(dataset)


def _colour(form: str, mode: str = "RGB", **options: object) -> Callable[[], bytes]:
    return lambda: saved(Image.fromarray(COLOUR).convert(mode), form, **options)


FILES: dict[str, Callable[[], bytes]] = {
    "png": _colour("PNG"),
    "png stored": _colour("PNG", compress_level=0),
    "png grey and alpha": _colour("PNG", "LA"),
    "png 16 bits": lambda: saved(Image.fromarray(GREY.astype(np.uint16) * 16), "PNG"),
    "png palette": lambda: saved(Image.fromarray(COLOUR).quantize(8), "PNG", transparency=0),
    "jpeg": _colour("JPEG"),
    "jpeg progressive": _colour("JPEG", progressive=True),
    "jpeg cmyk": _colour("JPEG", "CMYK"),
    "jpeg 2000": _colour("JPEG2000"),
    "jpeg 2000 bare": _colour("JPEG2000", no_jp2=True),
    "gif": lambda: saved(Image.fromarray(COLOUR).quantize(8), "GIF"),
    "tiff": _colour("TIFF"),
    "tiff lzw": _colour("TIFF", compression="tiff_lzw"),
    "tiff deflate": _colour("TIFF", compression="tiff_adobe_deflate"),
    "bmp": _colour("BMP"),
    "webp": _colour("WEBP"),
    "webp lossless": _colour("WEBP", lossless=True),
    "ppm": _colour("PPM"),
    "dicom": lambda: written(dicom()),
    "dicom turned": lambda: written(dicom(photometric="MONOCHROME1")),
    "dicom deflated": lambda: written(dicom(DeflatedExplicitVRLittleEndian)),
    "dicom run length": run_length,
}
