"""The grid readout knows where in the picture a token lies, also where a tower reorders its tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics.extraction.extractor import Extractor
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.families.checkpoints import build_family

SIDE = 128


FAMILIES = [
    "llava",
    "gemma3",
    "paligemma",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen3_5",
    "video_llama_3",
    "internvl",
]
"""Those that show the tower one picture (CLIP norms before its blocks, which is not linear in the grey)."""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_region_pools_its_own_patches(family: str, tmp_path: Path) -> None:
    """Sixteen squares of grey, blocks that hand on what they get: a region is then linear in the grey of its square."""
    loaded = load(resolve(str(build_family(family, tmp_path / family, seed=1, image_size=SIDE))))
    for name in loaded.anatomy.vision_blocks:
        block = loaded.model.get_submodule(name)
        block.forward = lambda hidden_states, *_args, **_kwargs: hidden_states
    for name, parameter in loaded.model.get_submodule(loaded.anatomy.tower).named_parameters():
        if "position" in name or "pos_embed" in name:
            parameter.data.zero_()
    grey = np.random.default_rng(0).permutation(16) * 14 + 20
    squares = np.kron(grey.reshape(4, 4), np.ones((SIDE // 4, SIDE // 4))).astype(np.uint8)
    picture = Image.fromarray(squares).convert("RGB")
    with Extractor(loaded, "Which?", ["normal", "malignant"], 2).hooked() as extractor:
        regions = extractor.read([picture]).features["vision.0.grid"].reshape(16, -1).astype(np.float64)
    design = np.stack([grey, np.ones(16)], axis=1)
    _, residual, *_ = np.linalg.lstsq(design, regions, rcond=None)
    assert residual.sum() < 1e-6 * np.square(regions - regions.mean(axis=0)).sum()
