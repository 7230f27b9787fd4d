from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid

from medprobe.fixtures.datasets.dicom.lookup_tables import expand
from medprobe.fixtures.datasets.images import UnreadableImage, open_image

CT = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


def dicom(pixels: np.ndarray, **tags: object) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.itemsize
    dataset.BitsStored = 8 if pixels.itemsize == 1 else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def saved(dataset: Dataset, enforce: bool = True) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if enforce:
            dataset.save_as(file, enforce_file_format=True)
        else:
            dataset.save_as(file, enforce_file_format=False)
    return file.getvalue()


def grey(dataset: Dataset) -> np.ndarray:
    image = open_image(saved(dataset))
    assert image.mode == "RGB"
    return np.asarray(image)[..., 0]


def test_the_files_own_window_is_applied() -> None:
    shown = grey(dicom(CT, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400))
    hounsfield = CT.astype(int) - 1024
    assert (shown[hounsfield <= 40 - 200] == 0).all()
    assert (shown[hounsfield >= 40 + 199] == 255).all()
    middle = abs(hounsfield - 40) < 190
    expected = ((hounsfield - 39.5) / 399 + 0.5) * 255
    assert np.abs(shown[middle] - expected[middle]).max() <= 0.51


def test_a_window_the_image_does_not_fill_is_not_stretched() -> None:
    assert grey(dicom(CT // 4, WindowCenter=2048, WindowWidth=4096)).max() in (63, 64)


def test_the_first_of_several_windows_counts() -> None:
    one = grey(dicom(CT, WindowCenter=1000, WindowWidth=500))
    assert (grey(dicom(CT, WindowCenter=[1000, 3000], WindowWidth=[500, 100])) == one).all()


def test_without_a_window_percentiles_are_taken_and_padding_left_out() -> None:
    padded = (CT // 8 + 1000).astype(np.int16)
    padded[:20] = -2000
    shown = grey(dicom(padded, PixelPaddingValue=-2000))
    inside = shown[20:]
    assert (shown[:20] == 0).all()
    assert (inside.min(), inside.max()) == (0, 255)
    assert len(np.unique(inside)) > 200


@pytest.mark.parametrize("slope", [-1, -2.5])
def test_a_window_behind_a_negative_slope_is_not_black(slope: float) -> None:
    """82 of 160 radiographs were black so, and all stages lost alike: a green gate."""
    low, high = sorted((0, 4095 * slope))
    turned = dicom(CT, RescaleSlope=slope, RescaleIntercept=0, WindowCenter=(low + high) / 2, WindowWidth=high - low)
    expected = 255 - grey(dicom(CT, WindowCenter=2048, WindowWidth=4096)).astype(int)
    assert np.abs(grey(turned) - expected).max() <= 1
    turned.PhotometricInterpretation = "MONOCHROME1"
    assert np.abs(grey(turned) - (255 - expected)).max() <= 1


def test_windows_in_functional_groups_count() -> None:
    window, transform, shared, own = Dataset(), Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = 40, 400
    transform.RescaleSlope, transform.RescaleIntercept, transform.RescaleType = 1, -1024, "HU"
    shared.PixelValueTransformationSequence, own.FrameVOILUTSequence = [transform], [window]
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": [own]}
    plain = grey(dicom(CT, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400))
    assert (grey(dicom(CT, NumberOfFrames=1, **groups)) == plain).all()


@pytest.mark.parametrize("width", [0, 0.5, -10])
def test_a_window_that_is_not_allowed_is_passed_over(width: float) -> None:
    assert (grey(dicom(CT, WindowCenter=40, WindowWidth=width)) == grey(dicom(CT))).all()
    second = grey(dicom(CT, WindowCenter=[40, 1000], WindowWidth=[width, 500]))
    assert (second == grey(dicom(CT, WindowCenter=1000, WindowWidth=500))).all()


@pytest.mark.parametrize("tags", [{"RescaleSlope": 2}, {"RescaleIntercept": -1024}, {"RescaleSlope": 0}])
def test_half_a_rescale_is_none(tags: dict[str, float]) -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    assert (grey(dicom(CT, **window, **tags)) == grey(dicom(CT, **window))).all()


@pytest.mark.parametrize("dtype", [np.uint32, np.int32])
def test_thirty_two_bits(dtype: type) -> None:
    deep = dicom((CT.astype(np.int64) * 1000).astype(dtype), BitsStored=32, HighBit=31)
    deep.WindowCenter, deep.WindowWidth = 2_048_000, 4_096_000
    assert np.abs(grey(deep).astype(int) - grey(dicom(CT, WindowCenter=2048, WindowWidth=4096))).max() <= 1


def test_monochrome1_is_turned_round() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    turned = grey(dicom(CT, PhotometricInterpretation="MONOCHROME1", **window))
    assert (turned == 255 - grey(dicom(CT, **window))).all()
    assert turned[0, 0] == 255


def test_eight_bits_are_shown_as_they_are() -> None:
    ramp = np.arange(100, 164, dtype=np.uint8).reshape(8, 8)
    assert (grey(dicom(ramp)) == ramp).all()


def test_a_lookup_table_is_applied() -> None:
    entries = 255 - np.arange(4096) // 16
    forms = {"US": entries.tolist(), "OW": entries.astype("<u2").tobytes(), "OB": entries.astype(np.uint8).tobytes()}
    for form, data in forms.items():
        table = Dataset()
        table.LUTDescriptor = [4096, 0, 8]
        table.add_new("LUTData", "OW" if form == "OB" else form, data)
        shown = grey(dicom(CT, VOILUTSequence=[table]))
        assert (shown == 255 - CT // 16).all(), form


def test_colour() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert (np.asarray(open_image(saved(dicom(colours)))) == colours).all()


def test_palette_colour() -> None:
    dataset = dicom(np.array([[0, 1], [2, 1]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for name, values in {"Red": (0, 65535, 0), "Green": (0, 0, 65535), "Blue": (65535, 0, 0)}.items():
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", np.array(values, np.uint16).tobytes())
    shown = np.asarray(open_image(saved(dataset)))
    assert shown.tolist() == [[[0, 0, 255], [255, 0, 0]], [[0, 255, 0], [255, 0, 0]]]


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_eight_bit_values_in_words(bits: int) -> None:
    """They were two grey levels, 0 and 1."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    dataset = dicom(ramp, PhotometricInterpretation="PALETTE COLOR")
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, bits])
        setattr(dataset, f"{name}PaletteColorLookupTableData", np.arange(256, dtype="<u2").tobytes())
    assert (grey(dataset) == ramp).all()


@given(st.lists(st.integers(0, 255), min_size=1, max_size=20), st.integers(1, 30), st.booleans())
def test_segmented_tables(values: list[int], length: int, wide: bool) -> None:
    """A discrete segment, a linear one to 200, and a copy of the linear one from where that ends."""
    start = len(values) + 2
    place = [2 * start, 0] if wide else [start, 0, 0, 0]
    found = expand([0, len(values), *values, 1, length, 200, 2, 1, *place, 0], wide)
    assert found[: len(values)] == values
    assert found[len(values) + length - 1] == 200
    assert found[len(values) + length :] == [200] * length
    rise = np.array([values[-1], *found[len(values) : len(values) + length]])
    assert np.abs(np.diff(rise) - (200 - values[-1]) / length).max() <= 1


def test_a_broken_segmented_table_is_refused() -> None:
    for fields in ([1, 3, 200], [2, 1, 0, 0], [7, 1, 1], [0, 1, 5, 2, 1, 6, 0]):
        with pytest.raises(UnreadableImage, match="segmented palette"):
            expand(fields, wide=True)
    with pytest.raises(UnreadableImage, match="too many values"):
        expand([0, 1, 5, 1, 65535, 9, 1, 65535, 0], wide=True)


def test_colours_that_are_not_read_are_refused() -> None:
    """They were shown as RGB."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with pytest.raises(UnreadableImage, match=r"colours that are not read \(HSV\)"):
        open_image(saved(dicom(colours, PhotometricInterpretation="HSV")))


def test_compressed() -> None:
    rle = dicom(CT, WindowCenter=2048, WindowWidth=4096)
    plain = grey(rle)
    rle.compress(RLELossless)
    assert (grey(rle) == plain).all()
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "JPEG", quality=95)
    lossy = dicom(ramp)
    lossy.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    lossy.PixelData = pydicom.encaps.encapsulate([file.getvalue()])
    lossy["PixelData"].is_undefined_length = True
    assert np.abs(grey(lossy).astype(int) - ramp).max() <= 4


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_preamble(implicit: bool) -> None:
    bare = Dataset()
    bare.update(dict(dicom(np.full((4, 4), 77, np.uint8)).items()))
    file = io.BytesIO()
    pydicom.dcmwrite(file, bare, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert file.getvalue()[:2] == b"\x08\x00"
    assert np.asarray(open_image(file.getvalue())).max() == 77


def test_what_cannot_be_shown_is_refused() -> None:
    frames = dicom(np.zeros((4, 4), np.uint8), NumberOfFrames=2)
    with pytest.raises(UnreadableImage, match="2 frames"):
        open_image(saved(frames))
    with pytest.raises(UnreadableImage, match="pixels"):
        open_image(saved(dicom(np.zeros((4, 4), np.uint8), Rows=60000, Columns=60000)))
    empty = dicom(np.zeros((4, 4), np.uint8))
    del empty.PixelData
    with pytest.raises(UnreadableImage, match="holds no pixels"):
        open_image(saved(empty))
    with pytest.raises(UnreadableImage, match="cannot be decoded"):
        open_image(saved(dicom(CT))[:900])
    with pytest.raises(UnreadableImage):
        open_image(b"\0" * 128 + b"DICM" + b"junk" * 50)
