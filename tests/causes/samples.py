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
