"""Checkpoints saved by transformers 4.4x and 4.5x, whose weights have other names, load whole and unchanged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medprobe.fixtures.models.registry import resolve

STYLES = {
    ("llava", "4.49"): [
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    ],
    ("llava", "4.52"): [("model.vision_tower.", "model.vision_tower.vision_model.")],
    ("gemma3", "4.50"): [
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    ],
    ("qwen2_vl", "4.49"): [("model.visual.", "visual."), ("model.language_model.", "model.")],
    ("qwen2_5_vl", "4.49"): [("model.visual.", "visual."), ("model.language_model.", "model.")],
}


@pytest.mark.parametrize(("name", "version"), list(STYLES))
def test_older_names_load_unchanged(name: str, version: str, family: Callable[[str], Path], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from medprobe.fixtures.models.loading import load

    folder = Path(shutil.copytree(family(name), tmp_path / name))
    whole = load(resolve(str(family(name))))
    renamed = {}
    for key, value in whole.model.state_dict().items():
        new = next((old + key[len(now) :] for now, old in STYLES[name, version] if key.startswith(now)), key)
        renamed[new] = value.clone()
    assert set(renamed) != set(whole.model.state_dict())
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = version + ".0"
    (folder / "config.json").write_text(json.dumps(config))
    loaded = load(resolve(str(folder)))
    assert loaded.anatomy == whole.anatomy
    for key, value in whole.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value), key
