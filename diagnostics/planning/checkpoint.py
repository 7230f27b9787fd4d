"""What is known of a checkpoint before it is loaded: from its folder, the local cache, or the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medprobe.fixtures.models.registry import ModelSpec
from medprobe.fixtures.models.size.memory import BYTES
from medprobe.fixtures.models.size.prompt_tokens import NoTokenizer, answer_tokens, text_tokens
from medprobe.fixtures.models.size.shapes import Shape, UnknownArchitecture, architectures, shape_of

CHARACTERS = 4
"""Characters a token, where no tokenizer is at hand."""
TEMPLATE = 16
"""Tokens of a chat template around the prompt, where none is at hand."""


@dataclass(frozen=True)
class Checkpoint:
    """`processor` are the image processor's own settings, None where they are not at hand; `folder` holds the
    tokenizer, None where it is not at hand.
    """

    shape: Shape
    config: Mapping[str, Any]
    processor: Mapping[str, Any] | None
    folder: Path | None
    dtype: str

    def text_tokens(self, prompt: str) -> tuple[int, bool]:
        """Tokens of the turn beside the image's, and whether they are counted, not estimated."""
        if self.folder is not None:
            try:
                return text_tokens(self.folder, self.shape.family, prompt), True
            except NoTokenizer:
                pass
        return TEMPLATE + -(-len(prompt) // CHARACTERS), False

    def answer_tokens(self, answers: tuple[str, ...]) -> list[int]:
        """Tokens of each answer."""
        if self.folder is not None:
            try:
                return answer_tokens(self.folder, answers)
            except NoTokenizer:
                pass
        return [-(-len(answer) // CHARACTERS) for answer in answers]


def describe(spec: ModelSpec, dtype: str | None, processor: str | None) -> Checkpoint:
    """What the files at hand say of `spec`. Raises UnknownArchitecture."""
    folder = Path(spec.source) if spec.local else _cached(spec)
    config = _published(spec) if not spec.local else _json(Path(spec.source) / "config.json")
    if config is None:
        config = None if folder is None else _json(folder / "config.json")
    if config is None:
        raise UnknownArchitecture(f"{spec.source} is neither in the registry nor in the local cache")
    held = dtype or (spec.entry.dtype if spec.entry else None) or config.get("dtype") or config.get("torch_dtype")
    if held is not None and held not in BYTES:
        raise UnknownArchitecture(f"the memory of dtype {held} is not known")
    where = Path(processor).expanduser() if processor else folder
    if where is not None and not (where / "tokenizer.json").is_file():
        where = None
    return Checkpoint(shape_of(config), config, _image_settings(where), where, held or "float32")


def _published(spec: ModelSpec) -> dict[str, Any] | None:
    from medprobe.fixtures.models.registry import registry

    aliases = {alias for alias, entry in registry().items() if entry is spec.entry}
    return next((sizes for sizes in architectures().values() if aliases & set(sizes["of"])), None)


def _cached(spec: ModelSpec) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(spec.source, "config.json", revision=spec.revision)
    return Path(config).parent if isinstance(config, str) else None


def _image_settings(folder: Path | None) -> dict[str, Any] | None:
    if folder is None:
        return None
    found = (_json(folder / "processor_config.json") or {}).get("image_processor")
    return found or _json(folder / "preprocessor_config.json")


def _json(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None
