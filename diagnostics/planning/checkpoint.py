"""What is known of a checkpoint before it is loaded: from its folder, the local cache, or the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image

from medprobe.fixtures.models.anatomy import discover
from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.loaded import LoadedModel
from medprobe.fixtures.models.loading import read_config
from medprobe.fixtures.models.plausible import require_depth
from medprobe.fixtures.models.processors import read_processor
from medprobe.fixtures.models.refusals import LoadError, explain
from medprobe.fixtures.models.registry import ModelSpec, registry
from medprobe.fixtures.models.size.image_tokens import Seen, seen
from medprobe.fixtures.models.size.memory import BYTES
from medprobe.fixtures.models.size.meta import build, config_of, shape_of
from medprobe.fixtures.models.size.shapes import Shape, UnknownArchitecture, architectures

CHARACTERS = 4
"""Characters a token, where the processor is not here."""
TEMPLATE = 16
"""Tokens of a chat template around the prompt, where the processor is not here."""
SIDE = 224
"""Pixels a side of the blank picture whose turn is counted."""


@dataclass(frozen=True)
class Checkpoint:
    """`config` is the model's as plain data. `without_numbers` has the processor and the model on the meta device, and
    `settings` are the image processor's own: both None where the processor is not here.
    """

    shape: Shape
    config: Mapping[str, Any]
    settings: Mapping[str, Any] | None
    without_numbers: LoadedModel | None
    dtype: str

    def view(self, width: int, height: int) -> Seen:
        """What a picture of `width` x `height` pixels becomes. Raises UnknownArchitecture."""
        return seen(self.shape, self.config, self.settings, width, height)

    def text_tokens(self, prompt: str) -> tuple[int, bool]:
        """Tokens of the turn beside the image's, and whether they are counted, not estimated."""
        if self.without_numbers is not None:
            try:
                turn = inputs(self.without_numbers, [Image.new("RGB", (SIDE, SIDE))], prompt)["input_ids"]
                return turn.shape[1] - self.view(SIDE, SIDE).tokens, True
            except LoadError:
                pass
        return TEMPLATE + -(-len(prompt) // CHARACTERS), False

    def answer_tokens(self, answers: tuple[str, ...]) -> list[int]:
        """Tokens of each answer."""
        if self.without_numbers is not None:
            tokenizer = self.without_numbers.processor.tokenizer
            return [len(tokenizer.encode(answer, add_special_tokens=False)) for answer in answers]
        return [-(-len(answer) // CHARACTERS) for answer in answers]


def describe(spec: ModelSpec, dtype: str | None, processor: str | None) -> Checkpoint:
    """What the files here say of `spec`. Raises UnknownArchitecture."""
    transformers.logging.set_verbosity_error()
    hub = {"revision": spec.revision, "local_files_only": True, "trust_remote_code": False}
    config = _config(spec, hub)
    held = dtype or (spec.entry.dtype if spec.entry else None) or str(config.dtype or "float32").removeprefix("torch.")
    if held not in BYTES:
        raise UnknownArchitecture(f"the memory of dtype {held} is not known")
    model = build(config)
    shape = shape_of(model)
    try:
        read = read_processor(spec, config, hub, processor and str(Path(processor).expanduser()))
    except LoadError:
        return Checkpoint(shape, config.to_dict(), None, None, held)
    loaded = LoadedModel(spec.name, model, read, discover(model), spec.revision, model.dtype, torch.device("meta"))
    return Checkpoint(shape, config.to_dict(), read.image_processor.to_dict(), loaded, held)


def _config(spec: ModelSpec, hub: dict[str, Any]) -> Any:
    """The configuration in the folder or the local cache, else that of the registered architecture."""
    try:
        config = read_config(spec.source, hub)
        require_depth(spec, config.to_dict())
        return config
    except LoadError as error:
        raise UnknownArchitecture(str(error)) from None
    except Exception as error:  # a configuration may be wrong anywhere, and transformers then raises anything
        if spec.local:
            raise UnknownArchitecture(str(explain(spec, error))) from error
    aliases = {alias for alias, entry in registry().items() if entry is spec.entry}
    for sizes in architectures().values():
        if aliases & set(sizes["of"]):
            return config_of(sizes)
    raise UnknownArchitecture(f"{spec.source} is neither in the registry nor in the local cache")
