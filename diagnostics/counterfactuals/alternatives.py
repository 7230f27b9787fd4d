"""The inputs under which a model of this family may have been meant to be asked, as changes of what is set now.

They follow from the names of the settings and from the numbers that published models have (`conventions`), so that a
family brings no code of its own. What is set already is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from medprobe.diagnostics.counterfactuals.turns import turns
from medprobe.fixtures.datasets.lesions.alterations import (
    Alteration,
    Brightened,
    ChannelsSwapped,
    Cropped,
    Inverted,
    Padded,
    Turned,
)
from medprobe.fixtures.models.conventions import NORMALISATIONS, RESCALE_FACTOR, ROTARY_BASES, published
from medprobe.fixtures.models.input_settings import settings
from medprobe.fixtures.models.size.image_tokens import MAX_PIXELS, PUBLISHED

if TYPE_CHECKING:
    from medprobe.fixtures.models.loaded import LoadedModel
    from medprobe.fixtures.models.registry import ModelSpec

PICTURES = (Inverted(), ChannelsSwapped(), Padded(), Cropped(), Turned(), Turned(left=False), Brightened())
PICTURE = "picture"
"""The path under which a change of the picture itself is listed."""
NEAREST, BICUBIC = 0, 3
"""How Pillow numbers the two filters."""
IMAGE = "image_processor"
SHORT = 512
"""Tokens: the smallest window of published Gemma 3 models."""


@dataclass(frozen=True)
class Input:
    """An input to ask under: settings by path with the value to try, and what is done to the picture before.

    restores: it puts back what another file of the checkpoint says. The default of a class is no such word: published
    models scale rotary positions, and rightly.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    picture: Alteration | None = None
    restores: bool = False

    @property
    def listed(self) -> dict[str, Any]:
        """All changes by path."""
        return self.changes | ({} if self.picture is None else {PICTURE: self.picture.words})

    @property
    def decodes(self) -> bool:
        """Whether it changes how the text is written alone, and no likelihood."""
        return self.picture is None and all(path.startswith("generation_config.") for path in self.changes)


def alternatives(loaded: LoadedModel, spec: ModelSpec | None = None) -> list[Input]:
    """Every alternative that this family knows; `spec` says which published model it is, if one."""
    own = settings(loaded)
    found = [
        *_normalisations(own),
        *_rescalings(own),
        *_published(loaded, own, spec),
        *_geometries(loaded, own),
        *(Input(picture.words, picture=picture) for picture in PICTURES),
        *_tiles(own),
        *_pixels(loaded, own),
        *_tokens(own),
        *_layers(own),
        *_attention(own),
        *_rotary(loaded, own),
        *_decoding(own),
        *(Input(name, {"chat_template": template}) for name, template in turns(loaded)),
    ]
    changing = [replace(one, changes=_other(own, one.changes)) for one in found]
    return [one for one in changing if one.listed]


def _other(own: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The changes of what is set otherwise."""
    return {path: value for path, value in changes.items() if _value(own, path) != value}


def _value(own: dict[str, Any], path: str) -> Any:
    """What is set; of a mapping, which settings list by its leaves, all of it."""
    nested = {key.removeprefix(f"{path}."): value for key, value in own.items() if key.startswith(f"{path}.")}
    return own.get(path, nested or None)


def _published(loaded: LoadedModel, own: dict[str, Any], spec: ModelSpec | None) -> Iterator[Input]:
    """All published numbers at once, since a processor that is written anew is wrong in several."""
    config = loaded.model.config
    numbers = published(config.model_type, str(getattr(config.vision_config, "model_type", "")), spec)
    if not numbers:
        return
    size = numbers.get("size")
    if size is not None and "longest_edge" in size:  # which loading caps
        numbers = numbers | {"size": {**size, "longest_edge": min(size["longest_edge"], MAX_PIXELS)}}
    changes = {f"{IMAGE}.{key}": value for key, value in numbers.items()}
    yield Input("the published processor's numbers", changes | _on(own, "do_normalize", "do_rescale"))


def _on(own: dict[str, Any], *names: str) -> dict[str, bool]:
    return {f"{IMAGE}.{name}": True for name in names if f"{IMAGE}.{name}" in own}


def _normalisations(own: dict[str, Any]) -> Iterator[Input]:
    if f"{IMAGE}.do_normalize" not in own:
        return
    on = bool(own[f"{IMAGE}.do_normalize"])
    yield Input("no normalising" if on else "normalising", {f"{IMAGE}.do_normalize": not on})
    for name, numbers in NORMALISATIONS.items():
        called = "image_mean 0.5 and image_std 0.5" if name == "0.5" else f"{name}'s image_mean and image_std"
        changes = {f"{IMAGE}.{key}": value for key, value in numbers.items()}
        yield Input(called, changes | _on(own, "do_normalize"))


def _rescalings(own: dict[str, Any]) -> Iterator[Input]:
    if f"{IMAGE}.do_rescale" not in own:
        return
    by_255 = {f"{IMAGE}.do_rescale": True, f"{IMAGE}.rescale_factor": RESCALE_FACTOR}
    yield Input("rescaling by 1/255", by_255)
    if own[f"{IMAGE}.do_rescale"]:
        yield Input("no rescaling", {f"{IMAGE}.do_rescale": False})
    if f"{IMAGE}.rescale_offset" in own:
        by_half = {f"{IMAGE}.rescale_factor": 2 * RESCALE_FACTOR, f"{IMAGE}.rescale_offset": True}
        yield Input("rescaling to -1..1", {f"{IMAGE}.do_rescale": True, **by_half})


def _geometries(loaded: LoadedModel, own: dict[str, Any]) -> Iterator[Input]:
    """How a picture is brought to the side of a tower that takes one size, and the filter."""
    if own.get(f"{IMAGE}.do_resize") is False:
        yield Input("resizing", {f"{IMAGE}.do_resize": True})
    if own.get(f"{IMAGE}.resample") == NEAREST:
        yield Input("bicubic resampling", {f"{IMAGE}.resample": BICUBIC})
    side = getattr(loaded.model.config.vision_config, "image_size", None)
    varies = ("merge_size", "image_grid_pinpoints", "crop_to_patches", "do_image_splitting")
    if not isinstance(side, int) or any(f"{IMAGE}.{name}" in own for name in varies):
        return
    square = {"height": side, "width": side}
    squashed = {f"{IMAGE}.size": square, f"{IMAGE}.do_center_crop": False}
    if own.get(f"{IMAGE}.do_center_crop") in (None, False):
        squashed = {f"{IMAGE}.size": square}
    yield Input(f"the whole picture resized to {side} x {side}", squashed)
    cropped = {f"{IMAGE}.size": {"shortest_edge": side}, f"{IMAGE}.do_center_crop": True, f"{IMAGE}.crop_size": square}
    yield Input(f"the shorter side resized to {side} and the centre cropped", cropped)


def _tiles(own: dict[str, Any]) -> Iterator[Input]:
    for name in ("crop_to_patches", "do_image_splitting", "do_pan_and_scan"):
        value = own.get(f"{IMAGE}.{name}")
        if isinstance(value, bool):
            yield Input(f"{name} {str(not value).lower()}", {f"{IMAGE}.{name}": not value})


def _pixels(loaded: LoadedModel, own: dict[str, Any]) -> Iterator[Input]:
    """The published bounds of a picture's pixels, four times as many, as far as loading allows, and of its tiles."""
    known = PUBLISHED.get(loaded.model.config.model_type, {})
    size = known.get("size")
    if size is not None and f"{IMAGE}.size.longest_edge" in own:
        bounds = {**size, "longest_edge": min(size["longest_edge"], MAX_PIXELS)}
        yield Input("the published bounds of a picture's pixels", {f"{IMAGE}.size": bounds})
    path = f"{IMAGE}.size.longest_edge"
    if path in own and f"{IMAGE}.merge_size" in own:  # which counts pixels, and not those of a side
        more = min(4 * own[path], MAX_PIXELS)
        yield Input(f"up to {more} pixels a picture", {path: more})
    tiles = {name: known[name] for name in ("min_patches", "max_patches") if name in known}
    if tiles:
        yield Input("the published number of tiles", {f"{IMAGE}.{name}": value for name, value in tiles.items()})


def _tokens(own: dict[str, Any]) -> Iterator[Input]:
    """Gemma 3's pooling: the next finer and coarser, and the published 256 tokens an image."""
    path, told = "config.mm_tokens_per_image", "processor.image_seq_length"
    if path not in own or told not in own:
        return
    side = own["config.vision_config.image_size"] // own["config.vision_config.patch_size"]
    possible = [k * k for k in range(1, side + 1) if side % k == 0]
    coarser = [n for n in possible if n < own[path]][-1:]
    finer = [n for n in possible if n > own[path]][:1]
    for n in dict.fromkeys([*(n for n in possible if n == 256), *finer, *coarser]):
        yield Input(f"{n} tokens an image", {path: n, told: n})


def _layers(own: dict[str, Any]) -> Iterator[Input]:
    """The tower's layer that the connector reads, and whether its first token is dropped."""
    path = "config.vision_feature_layer"
    if isinstance(own.get(path), int):
        for layer in (-1, -2):
            yield Input(f"the tower's layer {layer}", {path: layer})
    path, told = "config.vision_feature_select_strategy", "processor.vision_feature_select_strategy"
    if path in own:
        for strategy in ("default", "full"):
            also = {told: strategy} if told in own else {}
            yield Input(f"vision_feature_select_strategy {strategy}", {path: strategy, **also})


def _attention(own: dict[str, Any]) -> Iterator[Input]:
    """Which blocks of Qwen2.5-VL's tower see all, and scale and window of Gemma 3's attention."""
    path, depth = "config.vision_config.fullatt_block_indexes", own.get("config.vision_config.depth", 0)
    if path in own and depth >= 4:
        yield Input(
            "full attention in the last block of each quarter", {path: [k * depth // 4 - 1 for k in (1, 2, 3, 4)]}
        )
    text = "config.text_config"
    if own.get(f"{text}.head_dim") and f"{text}.query_pre_attn_scalar" in own:
        yield Input("attention scaled by the heads' width", {f"{text}.query_pre_attn_scalar": own[f"{text}.head_dim"]})
    if (own.get(f"{text}.sliding_window") or SHORT) < SHORT:
        yield Input(f"a window of {SHORT} tokens", {f"{text}.sliding_window": SHORT})


def _decoding(own: dict[str, Any]) -> Iterator[Input]:
    """Greedy decoding and nothing else, which stops where the text model says."""
    prefix, end = "generation_config.", "config.text_config.eos_token_id"
    changes = {path: None for path in own if path.startswith(prefix) and path != f"{prefix}eos_token_id"}
    if f"{prefix}eos_token_id" not in own and own.get(end) is not None:
        changes[f"{prefix}eos_token_id"] = own[end]
    yield Input("plain greedy decoding", changes, restores=f"{prefix}eos_token_id" in changes)


def _rotary(loaded: LoadedModel, own: dict[str, Any]) -> Iterator[Input]:
    """The rotary bases that published text models of this type have."""
    text = getattr(loaded.model.config, "text_config", None)
    bases = ROTARY_BASES.get(str(getattr(text, "model_type", "")), ())
    paths = [path for path in own if path.startswith("config.text_config.") and path.endswith("rope_theta")]
    for path in paths:
        where = path.split(".")[-2].removesuffix("_attention")
        of = "" if where == "rope_parameters" else f" of {where} attention"
        for base in bases:
            yield Input(f"the rotary base {base:g}{of}", {path: base})
    if len(paths) > 1:
        windowed = {path: bases[0] if "sliding" in path else bases[-1] for path in paths}
        yield Input("the published rotary bases", windowed)
    kinds = [path for path in own if path.startswith("config.text_config.") and path.endswith("rope_type")]
    if any(own[path] != "default" for path in kinds):
        yield Input("rotary positions as they are", dict.fromkeys(kinds, "default"))
