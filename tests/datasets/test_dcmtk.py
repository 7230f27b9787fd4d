"""What is shown of DICOM is what dcmtk shows, over drawn files; docs/dicom-study.md has many more of them.

Where dcmtk and the standard disagree the standard counts; benchmarks/drawn_dicom.py lists how.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLossless, JPEGLSLossless

from benchmarks.dicom import ALLOWED
from benchmarks.drawn_dicom import KINDS, draw, shown_by_dcmtk
from medprobe.fixtures.datasets.images import UnreadableImage, open_image

N_EACH = 17
DECODERS = {
    "JPEG lossless": JPEGLossless,
    "JPEG lossless 14": JPEGLossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}

pytestmark = pytest.mark.skipif(
    shutil.which("dcmj2pnm") is None, reason="dcmtk, with which pictures are compared, is not installed"
)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_dcmtks(kind: str) -> None:
    first, n_kinds = list(KINDS).index(kind), len(KINDS)
    bare = 0
    for seed in range(first, first + N_EACH * n_kinds, n_kinds):
        drawn = draw(seed)
        assert drawn.kind == kind
        if drawn.syntax in DECODERS and not get_decoder(DECODERS[drawn.syntax]).is_available:
            with pytest.raises(UnreadableImage, match=r"pip install 'medprobe\[dicom\]'"):
                open_image(drawn.file)
            continue
        shown, reference = np.asarray(open_image(drawn.file)).astype(int), shown_by_dcmtk(drawn).astype(int)
        assert shown.shape == reference.shape, (seed, drawn.syntax, drawn.facts)
        assert np.abs(shown - reference).max() <= ALLOWED, (seed, drawn.syntax, drawn.facts)
        bare += len(np.unique(reference)) <= 2
    # Pictures of black and white alone would compare nothing; a window as narrow as drawn here may leave one.
    assert bare <= (kind in ("window", "slope with a fraction"))
