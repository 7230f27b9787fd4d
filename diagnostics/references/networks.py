"""A timm network: its pretrained weights where they are found, the pictures it sees, its pooled features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL.Image import Image, Resampling
from torch import Tensor

from medprobe.diagnostics.reference_presets import UnknownReference
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.images import open_image

WEIGHTS = "model.safetensors"
BATCH = 32


class NotAtHand(RuntimeError):
    """There are no pretrained weights here; why."""


@dataclass(frozen=True)
class Weights:
    """A file of weights, and where it came from in words."""

    path: Path
    source: str


@dataclass(frozen=True)
class Sight:
    """How pictures reach a network: size in pixels, then each channel's mean and deviation of values in 0..1."""

    height: int
    width: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    resampling: Resampling

    @staticmethod
    def of(name: str, side: int | None = None) -> Sight:
        """What the network of that name declares, at `side` x `side` pixels where given."""
        published = timm.get_pretrained_cfg(name)
        declared = timm.data.resolve_data_config(pretrained_cfg=published.to_dict() if published else {})
        _, height, width = declared["input_size"]
        bilinear = declared["interpolation"] == "bilinear"
        return Sight(
            side or height,
            side or width,
            tuple(declared["mean"]),
            tuple(declared["std"]),
            Resampling.BILINEAR if bilinear else Resampling.BICUBIC,
        )

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """[3, height, width]: the whole picture, since the crop usual for photographs could cut a finding off."""
        fitted = image.convert("RGB").resize((self.width, self.height), self.resampling)
        return np.asarray(fitted).transpose(2, 0, 1)

    def scaled(self, pixels: Tensor) -> Tensor:
        """[n, 3, height, width] bytes as the network's input."""
        shape = (1, -1, 1, 1)
        mean, deviation = (torch.tensor(v, device=pixels.device).view(shape) for v in (self.mean, self.deviation))
        return (pixels.float() / 255 - mean) / deviation


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def weights_at_hand(name: str, offline: bool) -> Weights:
    """The published weights of a network, from the hub's local cache or from the hub. Raises NotAtHand.

    Weights are read from safetensors only, as a model's are.
    """
    from huggingface_hub import hf_hub_download

    try:
        published = timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tags = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise UnknownReference(f"unknown reference {name!r}: {error} timm knows {tags or 'no weights of it'}") from None
    if published is None or not published.hf_hub_id:
        raise NotAtHand("none are published")
    try:
        path = hf_hub_download(published.hf_hub_id, WEIGHTS, local_files_only=offline)
    except OSError:
        why = "offline was asked for" if offline else "the hub did not give them"
        raise NotAtHand(f"{published.hf_hub_id} is not in the local cache and {why}") from None
    return Weights(Path(path), f"{published.hf_hub_id}@{Path(path).parent.name[:12]}")


def pretrained(name: str, weights: Weights) -> Any:
    """The network with `weights` and no head: pictures in, pooled features out."""
    overlay = {"file": str(weights.path), "custom_load": False}
    network = timm.create_model(name, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay)
    return network.eval().to(device())


def pixels(images: Sequence[ImageFile], sight: Sight) -> Iterator[NDArray[np.uint8]]:
    """The pictures in order, [3, height, width] each; files are opened by threads, a batch at a time."""
    with ThreadPoolExecutor(4) as pool:
        for start in range(0, len(images), BATCH):
            yield from pool.map(lambda image: sight.pixels(open_image(image)), images[start : start + BATCH])


def pooled_features(
    network: Any, sight: Sight, images: Sequence[ImageFile], progress: Callable[[str, int, int], None]
) -> NDArray[np.float32]:
    """[n_images, width]."""
    place, found, waiting = device(), [], []
    with torch.inference_mode():
        for done, picture in enumerate(pixels(images, sight), start=1):
            waiting.append(picture)
            if len(waiting) == BATCH or done == len(images):
                features = network(sight.scaled(torch.from_numpy(np.stack(waiting)).to(place)))
                found.append(features.flatten(1).float().cpu().numpy())
                waiting = []
                progress("reading the reference", done, len(images))
    return np.concatenate(found)
