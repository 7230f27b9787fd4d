"""Checkpoints that differ where it matters."""

import json
import shutil
from pathlib import Path

from fixtures.phantoms import phantom_path


def renumbered(folder: Path) -> Path:
    """The phantom, two words of its tokenizer changed over."""
    shutil.copytree(phantom_path(), folder)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text("utf-8"))
    words = tokenizer["model"]["vocab"]
    words["\u0120normal"], words["\u0120round"] = words["\u0120round"], words["\u0120normal"]
    path.write_text(json.dumps(tokenizer), "utf-8")
    return folder


def halved(folder: Path) -> Path:
    """The phantom, its weights kept in bfloat16."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(phantom_path(), folder)
    weights = load_file(folder / "model.safetensors")
    halves = {name: value.to(torch.bfloat16) for name, value in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    text = (folder / "config.json").read_text("utf-8")
    (folder / "config.json").write_text(text.replace('"float32"', '"bfloat16"'), "utf-8")
    return folder
