"""Hooks that pool the rows of each image while the model runs."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medprobe.diagnostics.extraction.inputs import Inputs
from medprobe.diagnostics.extraction.pooling import (
    RowCountError,
    Rows,
    batched_rows,
    merge_block_regions,
    placed_rows,
    raster_regions,
    sequence_regions,
)
from medprobe.fixtures.models.loaded import LoadedModel

Name = TypeVar("Name", bound=Hashable)


class NumericalFault(RuntimeError):
    """NaN or infinity in the states of a layer; names the first one."""


class _Recorder:
    """The pooled states of one prefill."""

    def __init__(self, loaded: LoadedModel, inputs: Inputs, batch: Any) -> None:
        self.batch = batch
        self.active = True
        self.ends_at_decoder = False
        self.options: NDArray[np.float32] | None = None
        self.random: NDArray[np.float32] | None = None
        self.broken: list[Tensor] = []
        self.features: dict[tuple[str, int, str], Tensor] = {}
        self._extremes: dict[str, Tensor] = {}
        self._host = inputs.batch
        self._n_images = inputs.n_images
        self._tower = loaded.model.get_submodule(loaded.anatomy.tower)
        self._vision_config = loaded.model.config.vision_config
        at_image = self._host["input_ids"] == loaded.anatomy.image_token_id
        self._tokens = at_image.sum(dim=1).tolist()
        if min(self._tokens) == 0:
            raise RowCountError("the prompt of an image has no image token; the chat template dropped the image")
        self._shape = at_image.shape
        self._grids = self._host["image_grid_thw"].tolist() if "image_grid_thw" in self._host else None
        self._cache: dict[tuple[str, tuple[int, ...]], Rows] = {}
        self._in_decoder = placed_rows(at_image, self._language_regions())

    def add(self, kind: str, layer: int, states: Tensor) -> None:
        """Pool the states of one layer, [n_images, n_rows, width] or [n_rows, width]. Raises RowCountError."""
        name = {"exit": "the connector's input", "connector": "the decoder's input"}.get(kind, f"{kind} layer {layer}")
        if (kind, layer, "mean") in self.features:
            raise RowCountError(f"{name} ran twice in one forward pass")
        # In one pass and without a copy; both are NaN where any state is.
        self._extremes[f"{name}, in {states.dtype}"] = torch.stack(torch.aminmax(states)).float()
        if kind in ("llm", "connector"):
            if states.shape[:2] != self._shape:
                raise RowCountError(f"{name} has {tuple(states.shape)} for inputs of {tuple(self._shape)}")
            flat, rows = states.flatten(0, 1), self._in_decoder
        else:
            flat, rows = self._vision_rows(kind, states)
        self.features[kind, layer, "mean"] = rows.mean(flat)
        if kind == "llm":
            # A copy: a view would keep the states of all tokens.
            self.features[kind, layer, "last"] = states[:, -1].to(torch.float32, copy=True)
        else:
            self.features[kind, layer, "grid"] = rows.grid(flat)

    def require_finite(self) -> None:
        """Raises NumericalFault. Looks once a pass, since a look waits for the device."""
        for name, extremes in on_host(self._extremes).items():
            if not np.isfinite(extremes).all():
                raise NumericalFault(f"NaN or infinity first at {name}")

    def _language_regions(self) -> list[Tensor]:
        merge = self._merge()
        regions = []
        for i, count in enumerate(self._tokens):
            lattice = None
            if self._grids is not None:
                frames, height, width = self._grids[i]
                for m in (merge, 1):
                    if frames == 1 and height // m * (width // m) == count:
                        lattice = raster_regions(height // m, width // m)
                        break
            regions.append(sequence_regions(count) if lattice is None else lattice)
        return regions

    def _vision_rows(self, kind: str, states: Tensor) -> tuple[Tensor, Rows]:
        if states.ndim == 3 and states.shape[0] == 1 and self._n_images > 1:
            states = states[0]
        flat = states.reshape(-1, states.shape[-1])
        key = (kind, tuple(states.shape[:-1]))
        if key not in self._cache:
            self._cache[key] = self._packed(len(flat)) if states.ndim == 2 else self._batched(states.shape)
        return flat, self._cache[key]

    def _packed(self, n_rows: int) -> Rows:
        if self._grids is None:
            if self._n_images == 1:
                return Rows([sequence_regions(n_rows)])
            raise RowCountError("a packed tower without image_grid_thw; use --batch-size 1")
        patches = [frames * height * width for frames, height, width in self._grids]
        if sum(patches) % n_rows:
            raise RowCountError(f"the tower gave {n_rows} rows for {sum(patches)} patches")
        shrink = sum(patches) // n_rows
        merge = self._merge()
        regions = []
        for (frames, height, width), count in zip(self._grids, patches, strict=True):
            if frames == 1 and shrink == 1 and height % merge == 0 and width % merge == 0:
                region = merge_block_regions(height, width, merge)
                regions.append(self._windowed(region, (frames, height, width), merge))
            elif frames == 1 and shrink == merge * merge:
                regions.append(raster_regions(height // merge, width // merge))
            else:
                regions.append(sequence_regions(count // shrink))
        return Rows(regions)

    def _windowed(self, region: Tensor, grid: tuple[int, int, int], merge: int) -> Tensor:
        """Qwen2.5-VL orders its tokens by attention window inside the tower."""
        window_index = getattr(sys.modules[type(self._tower).__module__], "get_vision_window_index", None)
        if window_index is None or not hasattr(self._tower, "window_size"):
            return region
        order, _ = window_index(
            torch.tensor([grid]), spatial_merge_size=merge, window_size=self._tower.window_size,
            patch_size=self._tower.patch_size, kwargs={},
        )  # fmt: skip
        return region.reshape(-1, merge * merge)[order.cpu()].reshape(-1)

    def _merge(self) -> int:
        if "image_merge_sizes" in self._host:
            return int(self._host["image_merge_sizes"].flatten()[0])
        return int(getattr(self._vision_config, "spatial_merge_size", 1) or 1)

    def _batched(self, shape: tuple[int, ...]) -> Rows:
        n_tiles, n_tokens = int(shape[0]), int(shape[1])
        return batched_rows((n_tiles, n_tokens), self._tiles(n_tiles), self._prefix(n_tokens))

    def _tiles(self, n_tiles: int) -> list[int]:
        if n_tiles == self._n_images:
            return [1] * n_tiles
        if self._n_images == 1:
            return [n_tiles]
        pixels = self._host.get("pixel_values")
        if isinstance(pixels, Tensor) and pixels.ndim == 5:
            # Samples of fewer tiles are padded with tiles of exact zeros, which no normalised picture has.
            return [int(n) for n in (pixels.flatten(2) != 0).any(dim=2).sum(dim=1).tolist()]
        total = sum(self._tokens)
        if all(count * n_tiles % total == 0 for count in self._tokens):
            return [count * n_tiles // total for count in self._tokens]
        raise RowCountError(f"{n_tiles} tiles cannot be attributed to {self._n_images} images; use --batch-size 1")

    def _prefix(self, n_tokens: int) -> int:
        """Number of CLS and register tokens before the patches."""
        pixels, patch = self._host.get("pixel_values"), getattr(self._vision_config, "patch_size", None)
        if not isinstance(pixels, Tensor) or pixels.ndim < 4 or patch is None:
            return 0
        height, width = patch if isinstance(patch, list | tuple) else (patch, patch)
        surplus = n_tokens - (pixels.shape[-2] // height) * (pixels.shape[-1] // width)
        return surplus if 0 < surplus <= 8 else 0


def on_host(values: Mapping[Name, Tensor]) -> dict[Name, NDArray[np.float32]]:
    """Float32 copies of tensors on any devices, each device waited for once."""
    copies = {
        name: torch.empty(value.shape, pin_memory=value.is_cuda).copy_(value, non_blocking=True)
        for name, value in values.items()
    }
    for device in {value.device for value in values.values() if value.is_cuda}:
        torch.cuda.current_stream(device).synchronize()
    return {name: value.numpy() for name, value in copies.items()}


def _tensor(output: Any) -> Tensor:
    states: Tensor = output[0] if isinstance(output, tuple | list) else output
    return states


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    value = args[0] if args else next(v for v in kwargs.values() if isinstance(v, Tensor))
    return _tensor(value)


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.cpu().numpy(), dtype=np.float32)
