"""A data set's windows on Hounsfield units."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medprobe.fixtures.datasets.dataset import check_dataset, open_dataset
from medprobe.fixtures.datasets.dicom.ct_windows import CHANNELS, PRESETS, Window
from medprobe.fixtures.datasets.images import UnreadableImage, open_image
from medprobe.fixtures.datasets.manifest import DataError
from tests.datasets.samples import png
from tests.datasets.test_dicom import CT, dicom, saved

Write = Callable[..., Path]
HOUNSFIELD = CT.astype(int) - 1024


def slice_of(**tags: object) -> bytes:
    given = {"Modality": "CT", "RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 0, "WindowWidth": 100}
    return saved(dicom(CT, **{name: value for name, value in (given | tags).items() if value is not None}))


def channel(window: Window) -> np.ndarray:
    return np.clip((HOUNSFIELD - window.low) / (window.high - window.low), 0, 1) * 255


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ('preset = "lung"', (Window(-600, 1500),)),
        (
            'channels = ["bone", {center = 40, width = 80}, "mediastinum"]',
            (Window(400, 1800), Window(40, 80), Window(50, 350)),
        ),
        ('preset = "medgemma"', (Window(0, 2048), Window(40, 350), Window(40, 80))),
    ],
)
def test_windows_are_the_channels(write: Write, windows: str, expected: tuple[Window, ...]) -> None:
    files = {"dark/1.dcm": slice_of(), "bright/2.dcm": slice_of(InstanceNumber=2)}
    dataset = open_dataset(write(files, end=f"[windows]\n{windows}"), None)
    for image in dataset.images:
        pixels = np.asarray(open_image(image)).astype(float)
        for index, window in enumerate(expected if len(expected) == 3 else expected * 3):
            assert np.abs(pixels[..., index] - channel(window)).max() <= 0.51


def test_windows_are_part_of_fingerprint_and_store(write: Write) -> None:
    files = {"dark/1.dcm": slice_of(), "bright/2.dcm": slice_of(InstanceNumber=2)}
    ends = ["", '[windows]\npreset = "lung"', '[windows]\npreset = "bone"']
    found = [open_dataset(write(files, end=end), None) for end in ends]
    assert len({dataset.fingerprint for dataset in found}) == 3
    assert len({image.digest for dataset in found for image in dataset.images}) == 6
    assert len({image.id for dataset in found for image in dataset.images}) == 2
    same = open_dataset(write(files, end="[windows]\nchannels = " + str(["lung"] * 3)), None)
    assert same.fingerprint != found[1].fingerprint


@pytest.mark.parametrize("check", [check_dataset, open_dataset])
@pytest.mark.parametrize(
    "data",
    [
        png(1),
        slice_of(Modality="MR"),
        slice_of(RescaleIntercept=None, RescaleSlope=None),
        slice_of(RescaleType="Z_EFF"),
    ],
    ids=["png", "MR", "no rescale", "another unit"],
)
def test_what_has_no_hounsfield_units_is_refused(write: Write, check: Callable[..., object], data: bytes) -> None:
    manifest = write({"dark/1.dcm": data, "bright/2.dcm": slice_of()}, end='[windows]\npreset = "lung"')
    with pytest.raises(DataError, match=r"windows: the first image of class 'dark'.*no Hounsfield units"):
        check(manifest, None)


def test_a_later_image_without_is_left_out(write: Write) -> None:
    files = {"dark/1.dcm": slice_of(), "dark/2.png": png(1), "bright/2.dcm": slice_of(InstanceNumber=2)}
    dataset = open_dataset(write(files, end='[windows]\npreset = "lung"'), None)
    lost = next(image for image in dataset.images if image.name == "dark/2.png")
    with pytest.raises(UnreadableImage, match=r"image .*: it has no Hounsfield units"):
        open_image(lost)


@pytest.mark.parametrize(
    ("windows", "says"),
    [
        ("", "windows: needs either preset"),
        ('preset = "lung"\nchannels = ["lung", "bone", "brain"]', "windows: needs either preset"),
        ('preset = "lungs"', "'lungs' is none of lung, mediastinum"),
        ('channels = ["lung", "bone"]', "windows.channels"),
        ('channels = ["lung", "bone", "medgemma"]', "'medgemma' is none of lung"),
        ('channels = ["lung", "bone", {center = 3, width = 0}]', "windows.channels[3]"),
    ],
)
def test_mistakes_are_one_sentence(write: Write, windows: str, says: str) -> None:
    manifest = write({"dark/1.dcm": slice_of(), "bright/2.dcm": slice_of()}, end=f"[windows]\n{windows}")
    with pytest.raises(DataError, match=re.escape(says)) as caught:
        check_dataset(manifest, None)
    assert "\n" not in str(caught.value)


def test_presets_are_those_that_are_published() -> None:
    assert PRESETS["lung"] == Window(-600, 1500)
    assert (PRESETS["brain"].low, PRESETS["brain"].high) == (0, 80)
    assert [(one.low, one.high) for one in CHANNELS["medgemma"]] == [(-1024, 1024), (-135, 215), (0, 80)]
