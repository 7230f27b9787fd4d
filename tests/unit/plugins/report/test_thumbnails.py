"""Images in a page: only where asked for, small, and nothing but the picture."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics.records.report import Predictions
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.plugins.report.outputs.pages import LARGEST, write_pages
from tests.unit.plugins.report import samples

NAME = "Doe, Jane"


def files(predictions: Predictions, folder: Path) -> dict[str, ImageFile]:
    """One noisy photograph for every id, which compresses worse than anything in medicine, and names its patient."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = NAME, 6
    noise = np.random.default_rng(0).integers(0, 256, (96, 90, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    path = folder / "noise.jpeg"
    Image.fromarray(noise).save(path, exif=exif, comment=NAME.encode(), quality=95)
    return {image: ImageFile(image, path, None, 0, 0) for image in predictions.images}


def shown(html: str) -> list[bytes]:
    return [base64.b64decode(data) for data in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)]


@pytest.mark.parametrize("asked", [True, False])
def test_images_are_shown_where_asked_for(asked: bool, tmp_path: Path) -> None:
    read = samples.predictions(3)
    images = [files(read, tmp_path)] if asked else []
    page = write_pages(samples.report(samples.connector_fail()), tmp_path, [read], images)[1].read_text("utf-8")
    assert len(shown(page)) == (3 if asked else 0)
    assert ("<strong>Patients' images</strong> This page holds 3 pictures" in page) is asked
    assert "<img" not in page or asked


def test_a_thumbnail_holds_the_picture_alone(tmp_path: Path) -> None:
    read = samples.predictions(1)
    images = files(read, tmp_path)
    page = write_pages(samples.report(samples.connector_fail()), tmp_path, [read], [images])[1].read_text("utf-8")
    (jpeg,) = shown(page)
    assert NAME.encode() not in jpeg
    picture = Image.open(io.BytesIO(jpeg))
    assert picture.size == (96, 90), "upright, which this one is when turned"
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("limit", [LARGEST, 1_000_000])
def test_a_page_with_images_stays_under_its_limit(limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 200 images listed all are shown, or as many as fit."""
    monkeypatch.setattr("medprobe.plugins.report.outputs.pages.LARGEST", limit)
    read = samples.all_lost(300)
    page = write_pages(samples.report(samples.deep()), tmp_path, [read], [files(read, tmp_path)])[1]
    n = len(shown(page.read_text("utf-8")))
    assert page.stat().st_size < limit <= 2_000_000
    assert n == 200 if limit == LARGEST else page.stat().st_size > 0.9 * limit
    assert f"{n} pictures of 200 images" in page.read_text("utf-8")


def test_what_is_not_there_any_more_is_not_shown(tmp_path: Path) -> None:
    read = samples.predictions(3)
    images = files(read, tmp_path)
    gone = dict(list(images.items())[:-1])
    gone[read.images[-2]] = ImageFile(read.images[-2], tmp_path / "gone.png", None, 0, 0)
    page = write_pages(samples.report(samples.connector_fail()), tmp_path, [read], [gone])[1].read_text("utf-8")
    assert len(shown(page)) == 1
    assert "1 picture of 3 images" in page
