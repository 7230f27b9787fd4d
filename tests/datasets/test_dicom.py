from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless, generate_uid

from fixtures.datasets.images import UnreadableImage, open_image

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


def test_monochrome1_is_turned_round() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    turned = grey(dicom(CT, PhotometricInterpretation="MONOCHROME1", **window))
    assert (turned == 255 - grey(dicom(CT, **window))).all()
    assert turned[0, 0] == 255


def test_eight_bits_are_shown_as_they_are() -> None:
    ramp = np.arange(100, 164, dtype=np.uint8).reshape(8, 8)
    assert (grey(dicom(ramp)) == ramp).all()


def test_a_lookup_table_is_applied() -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", "US", [255 - value // 16 for value in range(4096)])
    shown = grey(dicom(CT, VOILUTSequence=[table]))
    assert (shown == 255 - CT // 16).all()


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
