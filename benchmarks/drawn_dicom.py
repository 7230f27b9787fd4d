"""DICOM files drawn from a seed, and what dcmtk has to be asked to show the same picture.

dcmtk is the reference as far as it reads what the standard allows. Where it does not, the reference is a file that the
standard shows the same way and dcmtk reads:

* `LINEAR_EXACT` is unknown to it: a linear window moved by half a value and wider by one (PS3.3 C.11.2.1.3.2).
* Functional groups are unknown to it: the same elements outside of groups.
* It cuts the fraction off rescaled values: the window moved to stored values, with its ends in the same places.
* Segmented palettes and JPEG 2000 are unknown to it: the same palette and pixels, plain.
* A 16-bit palette of 8-bit values is black to it unless it is told to look (`+Mc`).
* Without a window it shows the range that the bits could have, of fewer than 8 with white short of 255, though the
  largest value is white by PS3.3 C.7.6.3.1.2: a window as wide as the range. More than 8 bits are shown between
  percentiles here.
* It passes over a rescale slope of 0 and over windows that the standard does not allow, as we do.
"""

from __future__ import annotations

import io
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

NATIVE = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
PACKED = {
    "RLE": ("dcmcrle",),
    "JPEG baseline": ("dcmcjpeg", "+eb", "+q", "95"),
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "JPEG lossless 14": ("dcmcjpeg", "+el"),
    "JPEG-LS": ("dcmcjpls", "+el"),
    "JPEG 2000": (),
}
"""Transfer syntaxes by the command that compresses; JPEG 2000 by Pillow."""


@dataclass(frozen=True)
class Drawn:
    """`file` is to be shown as dcmtk shows `reference` with `options`."""

    kind: str
    syntax: str
    facts: str
    file: bytes
    reference: bytes
    options: tuple[str, ...]


@dataclass
class _Sheet:
    """A file being drawn: its elements, those of the reference where they differ, and options of dcmtk."""

    dataset: Dataset
    stored: np.ndarray
    reference: dict[str, Any]
    options: tuple[str, ...] = ()
    facts: str = ""


def draw(seed: int) -> Drawn:
    """The file of a seed."""
    rng = np.random.default_rng([7, seed])
    kinds = list(KINDS)
    kind = kinds[seed % len(kinds)]
    sheet = KINDS[kind](rng)
    syntax = str(rng.choice([*NATIVE, *PACKED]) if rng.random() < 0.6 else rng.choice(list(NATIVE)))
    if not _fits(syntax, sheet):
        syntax = str(rng.choice(list(NATIVE)))
    reference = deepcopy(sheet.dataset)
    for name, value in sheet.reference.items():
        if value is None:
            del reference[name]
        else:
            setattr(reference, name, value)
    if syntax == "JPEG 2000":
        file, other = _jpeg_2000(sheet.dataset, sheet.stored), _written(reference, ExplicitVRLittleEndian)
    elif syntax in PACKED:
        file, other = _packed(sheet.dataset, syntax), _packed(reference, syntax)
    else:
        file, other = _written(sheet.dataset, NATIVE[syntax]), _written(reference, NATIVE[syntax])
    return Drawn(kind, syntax, sheet.facts, file, other, sheet.options)


def shown_by_dcmtk(drawn: Drawn) -> np.ndarray:
    """The picture as dcmtk shows it, [height, width, 3]. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "a.pnm"
        source.write_bytes(drawn.reference)
        command = ["dcmj2pnm", "--quiet", *drawn.options, str(source), str(target)]
        if "LS" in drawn.syntax:
            subprocess.run(["dcmdjpls", str(source), str(source)], check=True, capture_output=True)
        subprocess.run(command, check=True, capture_output=True)
        return np.asarray(Image.open(target).convert("RGB"))


def _fits(syntax: str, sheet: _Sheet) -> bool:
    """Whether a compression can hold the pixels without changing what the file says of them."""
    data = sheet.dataset
    if syntax in NATIVE or syntax == "RLE":
        return syntax in NATIVE or data.PhotometricInterpretation != "YBR_FULL_422"
    if data.HighBit != data.BitsStored - 1 or data.BitsAllocated == 32 or data.BitsStored < 8:
        return False
    if data.PixelRepresentation or data.PhotometricInterpretation.startswith("YBR") or data.get("Rest"):
        return False
    if syntax == "JPEG baseline":  # lossy: a steep window would enlarge what two decoders may differ by
        return bool(data.BitsAllocated == 8 and data.PhotometricInterpretation == "RGB") or (
            data.BitsAllocated == 8 and "WindowWidth" not in data and not sheet.options and sheet.facts == "plain"
        )
    if syntax == "JPEG 2000":
        return bool(data.SamplesPerPixel == 1 and data.BitsStored in (8, 16))
    return bool(data.SamplesPerPixel == 1 or data.BitsAllocated == 8) and int(sheet.stored.max()) < 2**data.BitsStored


def _base(rng: np.random.Generator, samples: int = 1) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid(entropy_srcs=["drawn"])
    dataset.Modality = "OT"
    dataset.Rows, dataset.Columns = (int(side) for side in 2 * rng.integers(8, 21, 2))
    dataset.SamplesPerPixel = samples
    return dataset


def _grey(rng: np.random.Generator, least_bits: int = 1, most_bits: int = 16) -> _Sheet:
    """A grey picture of any depth, without anything that says how to show it."""
    dataset = _base(rng)
    dataset.PhotometricInterpretation = str(rng.choice(["MONOCHROME1", "MONOCHROME2"]))
    if rng.random() < 0.2:
        dataset.PresentationLUTShape = str(rng.choice(["IDENTITY", "INVERSE"]))
    bits = int(rng.choice([b for b in (4, 8, 8, 10, 12, 12, 14, 16) if least_bits <= b <= most_bits]))
    dataset.BitsAllocated = 8 if bits <= 8 and rng.random() < 0.7 else 16
    dataset.BitsStored = bits
    spare = dataset.BitsAllocated - bits
    dataset.HighBit = bits - 1 + (int(rng.integers(0, spare + 1)) if spare and rng.random() < 0.2 else 0)
    dataset.PixelRepresentation = int(rng.random() < 0.4)
    low = -(2 ** (bits - 1)) if dataset.PixelRepresentation else 0
    shape = (dataset.Rows, dataset.Columns)
    slope = np.add.outer(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1])) / 2
    values = low + np.rint((2**bits - 1) * np.clip(slope + rng.normal(0, 0.02, shape), 0, 1)).astype(np.int64)
    return _Sheet(_filled(dataset, values, rng), values, {}, facts="plain")


def _filled(dataset: Dataset, values: np.ndarray, rng: np.random.Generator) -> Dataset:
    """The values in their bits, with other bits set where a file may hold overlays."""
    bits, below = int(dataset.BitsStored), int(dataset.HighBit) + 1 - int(dataset.BitsStored)
    words = (values & (2**bits - 1)) << below
    if below or rng.random() < 0.1:
        words |= int(rng.integers(0, 2**dataset.BitsAllocated)) & ~((2**bits - 1) << below)
    elif dataset.PixelRepresentation:
        words = values & (2**dataset.BitsAllocated - 1)
    dataset.PixelData = words.astype(f"<u{dataset.BitsAllocated // 8}").tobytes()
    return dataset


def _decimal(number: float) -> str:
    return f"{number:.10g}"


def _rescaled(rng: np.random.Generator, sheet: _Sheet, whole: bool = True) -> tuple[float, float]:
    """A slope and an intercept, also negative ones, and often none."""
    draw = rng.random()
    if draw < 0.3:
        return 1.0, 0.0
    slope = float(rng.choice([-3, -2, -1, -1, 1, 2, 4])) if whole else float(rng.choice([-0.37, -1.25, 0.013, 2.44]))
    intercept = float(rng.integers(-2000, 2000)) if whole else float(np.round(rng.uniform(-50, 50), 2))
    sheet.dataset.RescaleSlope, sheet.dataset.RescaleIntercept = _decimal(slope), _decimal(intercept)
    if rng.random() < 0.5:
        sheet.dataset.RescaleType = "US"
    return slope, intercept


def _window_of(rng: np.random.Generator, values: np.ndarray) -> tuple[float, float]:
    """A window that the values fill more or less."""
    low, high = float(values.min()), float(values.max())
    width = max(2.0, np.rint((high - low) * rng.uniform(0.1, 1.5)))
    return float(np.rint(low + (high - low) * rng.uniform(0.2, 0.8))), float(width)


def _say(dataset: Dataset, windows: list[tuple[float, float]]) -> None:
    centers, widths = ([_decimal(value) for value in column] for column in zip(*windows, strict=True))
    dataset.WindowCenter, dataset.WindowWidth = (centers, widths) if len(windows) > 1 else (centers[0], widths[0])


def _plain(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng)
    slope, intercept = _rescaled(rng, sheet)
    if sheet.dataset.BitsStored > 8:
        values = sheet.stored * slope + intercept
        if rng.random() < 0.4:
            sheet = _padded(rng, sheet)
            padding = int(sheet.dataset.PixelPaddingValue)
            values = sheet.stored[sheet.stored != padding] * slope + intercept
        low, high = np.percentile(values, (0.5, 99.5))
        sheet.options = ("+Ww", _decimal((low + high) / 2 + 0.5), _decimal(high - low + 1))
        sheet.facts = "percentiles"
        return sheet
    sheet.options = _full_range(sheet, slope, intercept)
    if rng.random() < 0.1 and "RescaleSlope" not in sheet.dataset:
        sheet.dataset.RescaleSlope, sheet.dataset.RescaleIntercept, sheet.facts = "0", "5", "slope 0"
    return sheet


def _full_range(sheet: _Sheet, slope: float, intercept: float) -> tuple[str, ...]:
    """The window of all that fewer than 8 bits could have made; 8 bits need none."""
    bits, signed = int(sheet.dataset.BitsStored), int(sheet.dataset.PixelRepresentation)
    if bits == 8:
        return ()
    low = -(2 ** (bits - 1)) if signed else 0
    ends = [end * slope + intercept for end in (low, low + 2**bits - 1)]
    return ("+Ww", _decimal(sum(ends) / 2 + 0.5), _decimal(abs(ends[1] - ends[0]) + 1))


def _padded(rng: np.random.Generator, sheet: _Sheet) -> _Sheet:
    """A border of padding, below all values."""
    dataset = sheet.dataset
    padding = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
    sheet.stored = np.maximum(sheet.stored, padding + 2 ** (dataset.BitsStored - 2))
    sheet.stored[:3] = padding
    _filled(dataset, sheet.stored, rng)
    dataset.add_new("PixelPaddingValue", "SS" if dataset.PixelRepresentation else "US", padding)
    return sheet


def _windowed(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 4)
    slope, intercept = _rescaled(rng, sheet)
    values = sheet.stored * slope + intercept
    windows = [_window_of(rng, values) for _ in range(int(rng.integers(1, 4)))]
    number = 1
    draw = rng.random()
    if draw < 0.1:
        windows[0] = (windows[0][0], 1.0)
    elif draw < 0.2:  # not allowed, so the next one counts
        windows, number = [(windows[0][0], float(rng.choice([0, 0.5, -20]))), *windows], 2
    _say(sheet.dataset, windows)
    sheet.facts, sheet.options = f"windows {windows}", ("+Wi", str(number))
    if rng.random() < 0.3:
        sheet.dataset.VOILUTFunction = "LINEAR"
    return sheet


def _not_allowed(rng: np.random.Generator) -> _Sheet:
    """One window, which is not allowed: as if there were none."""
    sheet = _grey(rng, 4, 8)
    sheet.options = _full_range(sheet, *_rescaled(rng, sheet))
    width = float(rng.choice([0, 0.5, 0.99, -1, -300]))
    _say(sheet.dataset, [(100.0, width)])
    sheet.facts = f"width {width}"
    return sheet


def _exact(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 8)
    slope, intercept = _rescaled(rng, sheet)
    center, width = _window_of(rng, sheet.stored * slope + intercept)
    _say(sheet.dataset, [(center, width)])
    sheet.dataset.VOILUTFunction = "LINEAR_EXACT"
    sheet.facts, sheet.options = f"exact {center} {width}", ("+Ww", _decimal(center + 0.5), _decimal(width + 1))
    return sheet


def _sigmoid(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 8)
    slope, intercept = _rescaled(rng, sheet)
    _say(sheet.dataset, [_window_of(rng, sheet.stored * slope + intercept)])
    sheet.dataset.VOILUTFunction = "SIGMOID"
    sheet.options = ("+Wi", "1")
    return sheet


def _fractions(rng: np.random.Generator) -> _Sheet:
    """A slope with a fraction: the reference's window is on stored values."""
    sheet = _grey(rng, 8)
    slope, intercept = _rescaled(rng, sheet, whole=False)
    values = sheet.stored * slope + intercept
    exact = rng.random() < 0.5
    low, high = sorted(rng.uniform(values.min(), values.max(), 2))
    center, width = round((low + high) / 2, 4), round(high - low + 0.01, 4)
    if not exact:
        center, width = round(center + 0.5, 4), width + 1
    _say(sheet.dataset, [(center, width)])
    sheet.dataset.VOILUTFunction = "LINEAR_EXACT" if exact else "LINEAR"
    ends = [center - width / 2, center + width / 2] if exact else [center - width / 2, center + width / 2 - 1]
    low, high = sorted((end - intercept) / slope for end in ends)
    sheet.options = ("-M", "+Ww", _decimal((low + high) / 2 + 0.5), _decimal(high - low + 1))
    if slope < 0:
        sheet.options = (*sheet.options, "+P")
    sheet.facts = f"slope {slope}"
    return sheet


def _table(rng: np.random.Generator, low: int, n_entries: int, bits: int) -> tuple[Dataset, str]:
    """A lookup table, rising or falling, in one of the ways that files hold it."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if low < 0 else "US", [n_entries % 2**16, low, bits])
    curve = np.linspace(0, 1, n_entries) ** rng.uniform(0.5, 2)
    entries = np.rint((2**bits - 1) * (curve[::-1] if rng.random() < 0.3 else curve)).astype(np.int64)
    form = str(rng.choice(["US", "OW"])) if n_entries <= 30_000 else "OW"  # an explicit US holds 65,534 bytes
    if form == "OW" and bits == 8 and rng.random() < 0.5:
        item.add_new("LUTData", "OW", (packed := entries.astype(np.uint8).tobytes()) + b"\0" * (len(packed) % 2))
        return item, "OW of bytes"
    item.add_new("LUTData", form, entries.astype("<u2").tobytes() if form == "OW" else entries.tolist())
    return item, form


def _voi_table(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 8)
    slope, intercept = _rescaled(rng, sheet)
    values = sheet.stored * slope + intercept
    low, high = int(values.min()), int(values.max())
    n_entries = min(int((high - low) * rng.uniform(0.3, 1.2)) + 2, 2**16)
    first = max(low - int(rng.integers(0, 20)), 0 if sheet.dataset.PixelRepresentation == 0 and low >= 0 else -(2**15))
    first = min(first, 2**15 - 1)
    table, form = _table(rng, first, n_entries, int(rng.choice([8, 10, 12, 16])))
    sheet.dataset.VOILUTSequence = [table]
    if rng.random() < 0.4:
        _say(sheet.dataset, [_window_of(rng, values)])
    sheet.facts, sheet.options = f"VOI table {form}", ("+Wl", "1")
    return sheet


def _modality_table(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 8, 14)
    low, high = int(sheet.stored.min()), int(sheet.stored.max())
    table, form = _table(rng, low, high - low + 1, int(rng.choice([8, 12, 16])))
    table.ModalityLUTType = "US"
    sheet.dataset.ModalityLUTSequence = [table]
    top = 2 ** int(table.LUTDescriptor[2]) - 1
    sheet.facts = f"modality table {form}"
    if top > 255 or rng.random() < 0.5:
        _say(sheet.dataset, [_window_of(rng, np.array([0, top]))])
        sheet.options = ("+Wi", "1")
    return sheet


def _groups(rng: np.random.Generator) -> _Sheet:
    """An enhanced file of one frame; the reference holds the same elements outside of groups."""
    sheet = _grey(rng, 8)
    data = sheet.dataset
    plain = Dataset()
    plain.update(data)
    plain.file_meta = data.file_meta
    slope, intercept = _rescaled(rng, sheet)
    center, width = _window_of(rng, sheet.stored * slope + intercept)
    transform, window = Dataset(), Dataset()
    for name in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
        if name in data:
            transform[name] = data[name]
            sheet.reference[name] = data[name].value
            del data[name]
    window.WindowCenter, window.WindowWidth = _decimal(center), _decimal(width)
    if rng.random() < 0.3:
        window.VOILUTFunction = "SIGMOID"
        sheet.reference["VOILUTFunction"] = "SIGMOID"
    sheet.reference |= {"WindowCenter": _decimal(center), "WindowWidth": _decimal(width)}
    shared, own = Dataset(), Dataset()
    if len(transform):
        (shared if rng.random() < 0.5 else own).PixelValueTransformationSequence = [transform]
    (shared if rng.random() < 0.5 else own).FrameVOILUTSequence = [window]
    if "FrameVOILUTSequence" in own and rng.random() < 0.3:  # the frame's own comes before the shared one
        other = Dataset()
        other.WindowCenter, other.WindowWidth = _decimal(center + width), _decimal(width * 2)
        shared.FrameVOILUTSequence = [other]
    data.NumberOfFrames = 1
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], [own]
    sheet.reference |= {"SharedFunctionalGroupsSequence": None, "PerFrameFunctionalGroupsSequence": None}
    sheet.facts, sheet.options = "groups", ("+Wi", "1")
    return sheet


def _angiography(rng: np.random.Generator) -> _Sheet:
    sheet = _grey(rng, 8)
    sheet.dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.12." + str(rng.integers(1, 3))
    sheet.dataset.PixelIntensityRelationship = str(rng.choice(["LIN", "LOG", "DISP"]))
    sheet.dataset.RescaleSlope, sheet.dataset.RescaleIntercept = "3", "-7"
    _say(sheet.dataset, [_window_of(rng, sheet.stored)])
    sheet.facts, sheet.options = "angiography", ("+Wi", "1")
    return sheet


def _palette(rng: np.random.Generator) -> _Sheet:
    dataset = _base(rng)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    dataset.BitsAllocated = dataset.BitsStored = int(rng.choice([8, 16]))
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    n_entries = int(rng.choice([3, 17, 255, 256] if dataset.BitsStored == 8 else [200, 256, 300, 4096, 2**16]))
    first = int(rng.choice([0, 0, 5])) if n_entries < 2**16 else 0
    shape = (dataset.Rows, dataset.Columns)
    values = rng.integers(0, min(first + n_entries + 10, 2**dataset.BitsStored), shape)
    form = str(rng.choice(["16", "8 in bytes", "8 in words", "8 said to be 16", "segmented"]))
    sheet = _Sheet(_filled(dataset, values, rng), values, {}, facts=f"palette {form}")
    for colour in ("Red", "Green", "Blue"):
        table = np.rint(np.linspace(0, 1, n_entries) ** rng.uniform(0.4, 2.5) * 255).astype(np.int64)
        table = np.roll(table, int(rng.integers(0, n_entries)))
        bits = 16 if form in ("16", "8 said to be 16", "segmented") else 8
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [n_entries % 2**16, first, bits])
        name = f"{colour}PaletteColorLookupTableData"
        if form == "segmented":
            fields, plain = _segments(rng, n_entries)
            dataset.add_new(f"Segmented{name}", "OW", fields)
            sheet.reference |= {f"Segmented{name}": None, name: plain}
        elif form == "8 in bytes":
            packed = table.astype(np.uint8).tobytes()
            dataset.add_new(name, "OW", packed + b"\0" * (len(packed) % 2))
        else:
            words = table * 257 if form == "16" else table
            dataset.add_new(name, "OW", words.astype("<u2").tobytes())
    if form == "8 said to be 16":
        sheet.options = ("+Mc",)
    return sheet


def _segments(rng: np.random.Generator, n_entries: int) -> tuple[bytes, bytes]:
    """A palette in discrete, linear and copied segments, and the same in full (PS3.3 C.7.9.2)."""
    fields: list[int] = [0, 2, 0, int(rng.integers(0, 2**16))]
    plain = list(fields[2:])
    linear_at: list[int] = []
    while len(plain) < n_entries:
        left = n_entries - len(plain)
        draw = rng.random()
        if draw < 0.4 or left < 4:
            some = [int(value) for value in rng.integers(0, 2**16, min(left, 5))]
            fields += [0, len(some), *some]
            plain += some
        elif linear_at and draw < 0.6 and fields[(at := linear_at[-1]) + 1] <= left:
            fields += [2, 1, 2 * at % 2**16, 2 * at >> 16]
            length, end, start = fields[at + 1], fields[at + 2], plain[-1]
            plain += [round(start + (end - start) * step / length) for step in range(1, length + 1)]
        else:
            length, end, start = int(rng.integers(2, max(3, left // 2 + 1))), int(rng.integers(0, 2**16)), plain[-1]
            linear_at.append(len(fields))
            fields += [1, length, end]
            plain += [round(start + (end - start) * step / length) for step in range(1, length + 1)]
    return np.array(fields, "<u2").tobytes(), np.array(plain, "<u2").tobytes()


def _colour(rng: np.random.Generator) -> _Sheet:
    dataset = _base(rng, samples=3)
    dataset.PhotometricInterpretation = str(rng.choice(["RGB", "YBR_FULL", "YBR_FULL_422"]))
    deep = dataset.PhotometricInterpretation == "RGB" and rng.random() < 0.3
    dataset.BitsAllocated = 16 if deep else 8
    dataset.BitsStored = int(rng.choice([10, 12, 16])) if deep else 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    shape = (dataset.Rows, dataset.Columns, 3)
    ramp = np.add.outer(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]))[..., None] / 2
    smooth = np.clip(ramp * rng.uniform(0.3, 1, 3) + rng.normal(0, 0.02, shape), 0, 1)
    values = np.rint(smooth * (2**dataset.BitsStored - 1)).astype(f"<u{dataset.BitsAllocated // 8}")
    dataset.PlanarConfiguration = 0
    sheet = _Sheet(dataset, values, {}, facts="colour")
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        pairs = values.reshape(shape[0], shape[1] // 2, 2, 3)
        dataset.PixelData = np.stack(
            [pairs[..., 0, 0], pairs[..., 1, 0], pairs[..., 0, 1], pairs[..., 0, 2]], -1
        ).tobytes()
    elif rng.random() < 0.4:
        dataset.PlanarConfiguration = 1
        dataset.PixelData = np.ascontiguousarray(values.transpose(2, 0, 1)).tobytes()
    else:
        dataset.PixelData = values.tobytes()
    return sheet


KINDS: dict[str, Callable[[np.random.Generator], _Sheet]] = {
    "no window": _plain,
    "window": _windowed,
    "window not allowed": _not_allowed,
    "LINEAR_EXACT": _exact,
    "SIGMOID": _sigmoid,
    "slope with a fraction": _fractions,
    "VOI table": _voi_table,
    "modality table": _modality_table,
    "functional groups": _groups,
    "angiography": _angiography,
    "palette": _palette,
    "colour": _colour,
}


def _written(dataset: Dataset, syntax: str) -> bytes:
    """The file in a syntax without compression; values in bytes are turned round for big endian."""
    dataset = deepcopy(dataset)
    dataset.file_meta.TransferSyntaxUID = syntax
    wide = dataset.BitsAllocated > 8
    dataset["PixelData"].VR = "OW" if wide or syntax == ImplicitVRLittleEndian else "OB"
    if syntax == ExplicitVRBigEndian:
        _turn(dataset, wide)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _turn(dataset: Dataset, wide: bool) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _turn(item, wide)
        elif element.VR in ("OW", "OB or OW", "US or OW") and isinstance(element.value, bytes):
            if element.keyword == "PixelData" and not wide:
                continue
            size = 2 if element.keyword != "PixelData" else int(dataset.BitsAllocated) // 8
            element.value = np.frombuffer(element.value, f"<u{size}").byteswap().tobytes()


def _packed(dataset: Dataset, syntax: str) -> bytes:
    """The file as dcmtk compresses it."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a.dcm", Path(folder) / "b.dcm"
        source.write_bytes(_written(dataset, ExplicitVRLittleEndian))
        subprocess.run([*PACKED[syntax], str(source), str(target)], check=True, capture_output=True)
        return target.read_bytes()


def _jpeg_2000(dataset: Dataset, stored: np.ndarray) -> bytes:
    dataset = deepcopy(dataset)
    code = io.BytesIO()
    Image.fromarray(stored.astype(f"u{dataset.BitsAllocated // 8}")).save(code, "JPEG2000", no_jp2=True)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([code.getvalue()])
    dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
