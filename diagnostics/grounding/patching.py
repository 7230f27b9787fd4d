"""Image tokens replaced where the decoder takes them in: those of the lesion, or as many elsewhere.

Which tokens see a place is not derived from each processor's rules: the place itself, white on black, goes through the
processor, and what arrives of it at each token's pixels is counted. So cropping, padding and scaling are as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL.Image import Image, fromarray
from torch import Tensor, nn

from medprobe.diagnostics.arrays import Bools, Features, Floats
from medprobe.diagnostics.evidence import Evidence, said_classes
from medprobe.diagnostics.extraction.batches import read_all
from medprobe.diagnostics.extraction.extractor import Extractor
from medprobe.diagnostics.extraction.inputs import Inputs
from medprobe.diagnostics.extraction.measurement import answer_length
from medprobe.diagnostics.grounding.places import Places
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.datasets.lesions.places import Mask
from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.loaded import LoadedModel

LEAST_COVER = 0.1
"""Of a token's pixels: a token that sees less of the lesion is not replaced."""
DECIMALS = 6
"""Of a token's share that are told apart: its pixels are float32."""


class UnknownLattice(RuntimeError):
    """Why it is not known which image tokens see a place, in words."""


@dataclass(frozen=True)
class Patch:
    """Of one batch: the tokens replaced, and those whose mean replaces them, [n_images, prompt length]."""

    replaced: Tensor
    others: Tensor


@dataclass(frozen=True)
class Shown:
    """A picture with the places of its lesion and elsewhere, [height, width]."""

    picture: Image
    places: tuple[Mask, Mask]


def read_patched(evidence: Evidence, found: Places, loci: Sequence[str]) -> dict[str, Features]:
    """`STATE LOCUS` [n, width], `STATE options` [n, K] and `STATE said` [n], STATE being lesion or elsewhere."""
    loaded, dataset = evidence.model.load(), evidence.dataset
    length = answer_length(evidence.spec, evidence.settings)
    with _patching(loaded) as use, Extractor(loaded, dataset.prompt, dataset.answers, length).hooked() as extractor:

        def shown() -> Iterator[Shown]:
            for row, lesion, elsewhere in zip(found.rows, found.lesion, found.elsewhere, strict=True):
                picture = open_image(evidence.measured.images[row])
                yield Shown(picture, (lesion.place(*picture.size), elsewhere.place(*picture.size)))

        def prepare(items: Sequence[Shown]) -> tuple[Inputs, tuple[Patch, Patch]]:
            lesions, elsewhere = ([item.places[state] for item in items] for state in (0, 1))
            return extractor.prepare([item.picture for item in items]), _patches(
                loaded, dataset.prompt, lesions, elsewhere
            )

        def read(given: tuple[Inputs, tuple[Patch, Patch]]) -> dict[str, Features]:
            arrays: dict[str, Features] = {}
            for state, patch in zip(("lesion", "elsewhere"), given[1], strict=True):
                use(patch)
                batch = extractor.read(given[0])
                arrays |= {f"{state} {locus}": batch.features[locus] for locus in loci}
                arrays[f"{state} options"] = batch.option_log_likelihoods
                arrays[f"{state} said"] = said_classes(batch.texts, dataset).astype(np.float32)
            return arrays

        batches, done = [], 0
        limit = evidence.model.limit
        for arrays in read_all(prepare, read, shown(), limit, lambda item: extractor.length(item.picture)):
            batches.append(arrays)
            done += len(arrays["lesion options"])
            evidence.progress("replacing image tokens", done, len(found.rows))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def _patches(loaded: LoadedModel, prompt: str, lesions: list[Mask], elsewhere: list[Mask]) -> tuple[Patch, Patch]:
    """Of the lesion's tokens, and of as many elsewhere; both are filled with the mean of the tokens in neither."""
    at_image = _ids(loaded, prompt, lesions) == loaded.anatomy.image_token_id
    replaced = torch.zeros(2, *at_image.shape, dtype=torch.bool)
    for i, (here, there) in enumerate(
        zip(covers(loaded, prompt, lesions), covers(loaded, prompt, elsewhere), strict=True)
    ):
        positions = at_image[i].nonzero()[:, 0]
        for state, tokens in enumerate(choose(here, there)):
            replaced[state, i, positions[torch.from_numpy(tokens)]] = True
    others = at_image & ~replaced.any(dim=0)
    return Patch(replaced[0], others), Patch(replaced[1], others)


def choose(here: Floats, there: Floats) -> tuple[Bools, Bools]:
    """The tokens of the lesion, and as many others that see most of the other place, [n_tokens] each.

    here, there: share of each token's pixels in the two places. At most a third of the tokens are taken for each, those
    that see most, so that some are left to replace them by; of tokens that see as much, the first.
    """
    here, there = np.round(here, DECIMALS), np.round(there, DECIMALS)
    n = min(max(1, int((here >= LEAST_COVER).sum())), max(1, len(here) // 3))
    lesion, other = np.zeros(len(here), bool), np.zeros(len(here), bool)
    lesion[np.argsort(-here, kind="stable")[:n]] = True
    other[np.argsort(-np.where(lesion, -1.0, there), kind="stable")[:n]] = True
    return lesion, other


def covers(loaded: LoadedModel, prompt: str, places: Sequence[Mask]) -> list[Floats]:
    """Share of each image token's pixels that lie in the image's place, [n_tokens] an image. Raises UnknownLattice."""
    drawn = [_pixels(loaded, prompt, [draw(place) for place in places]) for draw in (_white_on_black, _black, _white)]
    (shown, ids), (black, _), (white, _) = drawn
    span = (white["pixel_values"] - black["pixel_values"]).double()
    # Padding is the same in black and in white, and lies in no place.
    share = torch.where(span.abs() > 1e-3, (shown["pixel_values"] - black["pixel_values"]).double() / span, 0.0)
    counts = (ids == loaded.anatomy.image_token_id).sum(dim=1).tolist()
    if "image_grid_thw" in shown:
        return _packed(share, shown["image_grid_thw"].tolist(), counts)
    if share.ndim == 5 and share.shape[1] == 1:
        share = share[:, 0]
    if share.ndim != 4 or len(share) != len(places):
        raise UnknownLattice("its processor cuts pictures into tiles, so that the place of an image token is not known")
    return [_batched(one, count) for one, count in zip(share, counts, strict=True)]


def _batched(share: Tensor, count: int) -> Floats:
    side = math.isqrt(count)
    if side * side != count or share.shape[-2] % side or share.shape[-1] % side:
        raise UnknownLattice(f"its {count} image tokens are no lattice over the picture")
    cells = nn.functional.adaptive_avg_pool2d(share.mean(dim=0)[None], side)
    return np.asarray(cells.flatten().numpy(), dtype=np.float64)


def _packed(share: Tensor, grids: list[list[int]], counts: list[int]) -> list[Floats]:
    """Rows of pixels are patches, those of one token together."""
    patches = [frames * height * width for frames, height, width in grids]
    if sum(patches) != len(share) or any(n % count for n, count in zip(patches, counts, strict=True)):
        raise UnknownLattice("its patches cannot be attributed to image tokens")
    parts = torch.split(share.flatten(1).mean(dim=1), patches)
    return [
        np.asarray(part.reshape(count, -1).mean(dim=1).numpy(), dtype=np.float64)
        for part, count in zip(parts, counts, strict=True)
    ]


def _pixels(loaded: LoadedModel, prompt: str, pictures: list[Any]) -> tuple[Any, Tensor]:
    batch = inputs(loaded, pictures, prompt)
    if not isinstance(batch.get("pixel_values"), Tensor):
        raise UnknownLattice("its processor gives no pixels in one array")
    return batch, batch["input_ids"]


def _ids(loaded: LoadedModel, prompt: str, places: Sequence[Mask]) -> Tensor:
    return _pixels(loaded, prompt, [_black(place) for place in places])[1]


def _white_on_black(place: Mask) -> Any:
    return fromarray(place.astype(np.uint8) * 255).convert("RGB")


def _black(place: Mask) -> Any:
    return _white_on_black(np.zeros_like(place))


def _white(place: Mask) -> Any:
    return _white_on_black(np.ones_like(place))


@contextmanager
def _patching(loaded: LoadedModel) -> Iterator[Callable[[Patch], None]]:
    """Inside, the decoder's input is patched with what was last given. Raises UnknownLattice."""
    if loaded.anatomy.deepstack:
        raise UnknownLattice("its later layers are given features of the picture too, which stay as they are")
    patches: list[Patch] = []

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = None if args else next(key for key, value in kwargs.items() if isinstance(value, Tensor))
        states = args[0] if name is None else kwargs[name]
        patch = patches[-1]
        if states.shape[:2] != patch.replaced.shape:
            return None  # a token of the answer
        states = states.clone()
        for image, replaced, others in zip(states, patch.replaced, patch.others, strict=True):
            mean = image[others.to(image.device)].float().mean(dim=0)
            image[replaced.to(image.device)] = mean.to(image.dtype)
        return ((states, *args[1:]), kwargs) if name is None else (args, {**kwargs, name: states})

    first = loaded.model.get_submodule(loaded.anatomy.decoder_layers[0])
    handle = first.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield patches.append
    finally:
        handle.remove()
