"""`--include-images` from the call to the page."""

from __future__ import annotations

import io

from PIL import Image

from tests.runs.calling import medprobe
from tests.unit.plugins.report.test_thumbnails import shown


def test_the_lost_images_are_found_in_the_data_set(first, store, small, tmp_path):
    run = medprobe(
        *("--model", "phantom-connector", "--dataset", small, "--store", store, "--include-images"),
        report_dir=tmp_path,
        python=("-X", "importtime"),
    )
    assert run.code == first.code == 1, run.out + first.out + run.err[-500:]
    page = tmp_path / "phantom-connector-small" / "index.html"
    plain = first.report_dir / page.relative_to(tmp_path)
    pictures = shown(page.read_text("utf-8"))
    assert f"This page holds {len(pictures)} pictures" in page.read_text("utf-8")
    assert len(pictures) > 5
    assert {Image.open(io.BytesIO(picture)).format for picture in pictures} == {"JPEG"}
    assert not shown(plain.read_text("utf-8"))
    assert "the report holds images of the data set (--include-images)" in run.out
    assert "torch" not in run.imported()
