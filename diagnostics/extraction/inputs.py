"""What goes into a forward pass and what comes out of it as text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.loaded import LoadedModel


@dataclass(frozen=True)
class Inputs:
    """What the processor made of a batch of images, on the host; floats in the model's dtype."""

    n_images: int
    batch: Any

    def on(self, device: torch.device) -> Any:
        """The same on the model's device."""
        return copy.copy(self.batch).to(device, non_blocking=True)


def prepared(loaded: LoadedModel, images: Sequence[Image], prompt: str) -> Inputs:
    """Inputs of a batch, in memory from which a GPU copies without being waited for."""
    batch = inputs(loaded, images, prompt)
    for key, value in batch.items():
        if isinstance(value, Tensor):
            value = value.to(loaded.dtype) if value.is_floating_point() else value
            batch[key] = value.pin_memory() if loaded.device.type == "cuda" else value
    return Inputs(len(images), batch)


def written(tokenizer: Any, tokens: Tensor) -> str:
    """The text of generated tokens, without the marks that begin, end and fill it."""
    text = str(tokenizer.decode(tokens, skip_special_tokens=False))
    for special in (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token):
        text = text.replace(special, "") if special else text
    return text.removesuffix("<end_of_turn>").removesuffix("<|im_end|>").strip()
