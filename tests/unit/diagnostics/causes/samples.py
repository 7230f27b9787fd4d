"""Checkpoints that differ where it matters."""

import json
import shutil
from pathlib import Path
from typing import Any

from medprobe.fixtures.phantoms import phantom_path


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


def edited(folder: Path, **files: dict[str, Any] | str) -> Path:
    """The phantom, values of its JSON files set by dotted path, or the end of its template changed."""
    shutil.copytree(phantom_path(), folder)
    for stem, change in files.items():
        if isinstance(change, str):
            path = folder / "chat_template.jinja"
            path.write_text(path.read_text("utf-8") + change, "utf-8")
            continue
        path = folder / f"{stem}.json"
        content = json.loads(path.read_text("utf-8"))
        for key, value in change.items():
            *above, name = key.split(".")
            place = content
            for part in above:
                place = place[part]
            place[name] = value
        path.write_text(json.dumps(content), "utf-8")
    return folder


def says_something_else(folder: Path) -> Path:
    """The phantom, its head taught a word that no answer has and that is the likeliest after every prompt: the text is
    lost, and the answers keep their likelihoods among each other.
    """
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import load_file, save_file

    from medprobe.fixtures.models.chat import inputs
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.images import PROMPT

    loaded = load(resolve("phantom"))
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(8)]
    states = []
    norm = loaded.model.get_submodule(loaded.anatomy.final_norm)
    handle = norm.register_forward_hook(lambda _m, _a, out: states.append(out[:, -1]))
    with torch.inference_mode():
        loaded.model(**inputs(loaded, pictures, PROMPT))
    handle.remove()
    direction = states[0].mean(dim=0)
    shutil.copytree(phantom_path(), folder)
    weights = load_file(folder / "model.safetensors")
    head = weights["language_model.lm_head.weight"]
    word = loaded.processor.tokenizer.get_vocab()["\u0120round"]
    head[word] = 100 * direction / direction.norm() ** 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
