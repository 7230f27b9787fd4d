"""One forward pass an image: pooled features of every locus, option likelihoods and the generated answer.

Hooks on the prefill of `generate` pool on the device; token states never pile up. The options are scored on copies of
that prefill's cache while generation waits, so that features, likelihoods and text come from the same pass. No hook
waits for a GPU: where rows belong is known before the pass, what was pooled is fetched after it.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from PIL.Image import new as new_image
from torch import Tensor, nn
from transformers import Cache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from medprobe.diagnostics.extraction.answers import REASONING_TOKENS, unfinished
from medprobe.diagnostics.extraction.pooling import (
    RowCountError,
    Rows,
    batched_rows,
    merge_block_regions,
    placed_rows,
    raster_regions,
    sequence_regions,
)
from medprobe.fixtures.models.answer_tokens import writings
from medprobe.fixtures.models.chat import inputs
from medprobe.fixtures.models.loading import LoadedModel

Name = TypeVar("Name", bound=Hashable)

RANDOM_DRAWS = 5
"""Sets of as many random tokens as the options have writings, whose likelihoods are the control of the options'."""

NEGLIGIBLE = 1e-4
"""Of the probability that any answer is written: what a writing must be able to add to be worth a pass. Ten times as
much may lie between an image's likelihoods read in a batch and alone. A trained phantom, which knows 400 tokens, gives
1e-6 to 4e-5 to one that it never writes; larger vocabularies less.
"""

PICTURE = 64
"""Pixels a side of the picture on which the tower's way is tried."""


class NumericalFault(RuntimeError):
    """NaN or infinity in the states of a layer; names the first one."""


class _DecoderReached(Exception):
    """Ends a forward pass of which only the part before the decoder is wanted."""


class _ConnectorReached(Exception):
    """Ends a forward pass of which only the tower is wanted."""


@dataclass(frozen=True)
class Batch:
    """What one batch of images gave.

    features: locus name -> [n_images, width] float32.
    option_log_likelihoods: [n_images, n_options], scored by `answers.OPTION_SCORE`.
    random_log_likelihoods: [n_images, RANDOM_DRAWS * n_options], of random tokens where an answer would start, as many
        summed as an option has writings.
    texts: the generated answers.
    """

    features: dict[str, NDArray[np.float32]]
    option_log_likelihoods: NDArray[np.float32]
    random_log_likelihoods: NDArray[np.float32]
    texts: list[str]


@dataclass(frozen=True)
class Inputs:
    """What the processor made of a batch of images, on the host; floats in the model's dtype."""

    n_images: int
    batch: Any

    def on(self, device: torch.device) -> Any:
        """The same on the model's device."""
        return copy.copy(self.batch).to(device, non_blocking=True)


class Extractor:
    """Reads features and answers of a loaded model. Use inside `with extractor.hooked():`."""

    def __init__(self, loaded: LoadedModel, prompt: str, options: Sequence[str], max_new_tokens: int = 32) -> None:
        self._loaded = loaded
        self._prompt = prompt
        self._tokenizer = loaded.processor.tokenizer
        self._options = options_of(loaded, prompt, options)
        n_known = int(loaded.model.get_input_embeddings().weight.shape[0])
        self._random = _random_tokens(self._tokenizer, n_known, self._options)
        self._max_new_tokens = max_new_tokens
        self._recorder: _Recorder | None = None
        self._last_used_block: int | None = None
        self._lengths: dict[tuple[int, int], int] = {}

    @contextmanager
    def hooked(self) -> Iterator[Extractor]:
        """Hooks are in place inside this context, and gone after it."""
        model, anatomy = self._loaded.model, self._loaded.anatomy
        get = model.get_submodule
        handles = []

        def after(name: str, call: Any) -> None:
            handles.append(get(name).register_forward_hook(call, with_kwargs=False))

        def before(name: str, call: Any) -> None:
            handles.append(get(name).register_forward_pre_hook(call, with_kwargs=True))

        for i, name in enumerate(anatomy.vision_blocks):
            after(name, lambda _m, _a, out, i=i: self._record("vision", i, _tensor(out)))
        before(anatomy.connector, lambda _m, args, kwargs: self._record("exit", 0, _first(args, kwargs)))
        for i, name in enumerate(anatomy.deepstack):
            after(name, lambda _m, _a, out, i=i: self._record("deepstack", i, _tensor(out)))
        before(anatomy.decoder_layers[0], lambda _m, args, kwargs: self._record("connector", 0, _first(args, kwargs)))
        for i, name in enumerate(anatomy.decoder_layers[:-1]):
            after(name, lambda _m, _a, out, i=i: self._record("llm", i, _tensor(out)))
        n_layers = len(anatomy.decoder_layers)
        after(anatomy.final_norm, lambda _m, _a, out: self._record("llm", n_layers - 1, _tensor(out)))
        handles.append(model.register_forward_hook(self._after_prefill, with_kwargs=True))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def prepare(self, images: Sequence[Image]) -> Inputs:
        """The inputs of a batch; may run on another thread, ahead of `read`."""
        return prepared(self._loaded, images, self._prompt)

    def length(self, image: Image) -> int:
        """Tokens of the prompt with this image."""
        if image.size not in self._lengths:
            self._lengths[image.size] = int(self.prepare([image]).batch["input_ids"].shape[1])
        return self._lengths[image.size]

    @torch.inference_mode()
    def read(self, images: Sequence[Image] | Inputs) -> Batch:
        """Features and answers of a batch of images, in order."""
        given = images if isinstance(images, Inputs) else self.prepare(images)
        batch = given.on(self._loaded.device)
        self._recorder = recorder = _Recorder(self._loaded, given, batch)
        generated = self._loaded.model.generate(
            **batch, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1, use_cache=True
        )
        self._recorder = None
        if recorder.options is None or recorder.random is None:
            raise RowCountError("the model gave no prefill to read")
        if recorder.broken and bool(torch.stack(recorder.broken).any()):
            raise NumericalFault(f"NaN first in the logits of a written token, in {self._loaded.dtype}")
        prompt_length = batch["input_ids"].shape[1]
        texts = [written(self._tokenizer, row[prompt_length:]) for row in generated]
        if self._max_new_tokens < REASONING_TOKENS and any(map(unfinished, texts)):
            # The model reasons first, which nobody said: from here on it has the room for it.
            self._max_new_tokens = REASONING_TOKENS
            return self.read(given)
        return Batch(self._gather(recorder), recorder.options, recorder.random, texts)

    @torch.inference_mode()
    def read_before_decoder(self, images: Sequence[Image] | Inputs) -> dict[str, NDArray[np.float32]]:
        """Features of the tower and of the decoder's input; the pass ends where the decoder begins."""
        given = images if isinstance(images, Inputs) else self.prepare(images)
        batch = given.on(self._loaded.device)
        self._recorder = recorder = _Recorder(self._loaded, given, batch)
        recorder.ends_at_decoder = True
        with suppress(_DecoderReached):
            self._loaded.model.generate(**batch, max_new_tokens=1, do_sample=False, num_beams=1)
        self._recorder = None
        recorder.require_finite()
        return self._gather(recorder)

    def _record(self, kind: str, layer: int, states: Tensor) -> None:
        if self._recorder is not None and self._recorder.active:
            self._recorder.add(kind, layer, states)
            if kind == "connector" and self._recorder.ends_at_decoder:
                raise _DecoderReached

    def _after_prefill(self, _module: nn.Module, _args: Any, kwargs: dict[str, Any], output: Any) -> None:
        recorder = self._recorder
        if recorder is None:
            return
        if not recorder.active:
            recorder.broken.append(output.logits.isnan().any())
            return
        recorder.active = False
        recorder.require_finite()
        likelihoods = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
        recorder.random = _array(_score_random(likelihoods, self._random))
        recorder.options = score_options(self._loaded.model, self._options, recorder.batch, kwargs, output)
        # A token may be ruled out by minus infinity; an answer whose tokens are cannot be scored.
        if np.isnan(recorder.random).any() or not np.isfinite(recorder.options).all():
            raise NumericalFault(f"NaN or infinity first at the logits, in {output.logits.dtype}")

    def _gather(self, recorder: _Recorder) -> dict[str, NDArray[np.float32]]:
        features = on_host(recorder.features)
        if self._last_used_block is None:
            self._last_used_block = last_used_block(self._loaded, self._prompt)
        named: dict[str, NDArray[np.float32]] = {}
        for (kind, layer, readout), value in features.items():
            if kind == "vision" and layer < self._last_used_block:
                named[f"vision.{layer}.{readout}"] = value
            elif kind == "exit":
                named[f"vision.{self._last_used_block}.{readout}"] = value
            elif kind == "llm":
                named[f"llm.{layer}.{readout}"] = value
        for readout in ("mean", "grid"):
            injected = sorted(key for key in features if key[0] == "deepstack" and key[2] == readout)
            parts = [features[key] for key in (("connector", 0, readout), *injected)]
            named[f"connector.0.{readout}"] = np.concatenate(parts, axis=1)
        return named


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


def tower_exits(loaded: LoadedModel, inputs: Inputs) -> Tensor:
    """What the connector is given, as its `mean` readout: [n_images, width], float32, with gradients where they are on.
    The pass ends at the connector.
    """
    batch = inputs.on(loaded.device)
    recorder = _Recorder(loaded, inputs, batch)
    states = _connector_input(loaded, partial(loaded.model, **batch, use_cache=False))
    flat, rows = recorder._vision_rows("exit", states)
    return rows.mean(flat)


@torch.inference_mode()
def last_used_block(loaded: LoadedModel, prompt: str) -> int:
    """Index of the last of the tower's blocks whose output reaches the connector.

    Some towers run blocks that nothing reads: LLaVA takes the last but one. From the last block on, each one's output
    is overwritten with NaN in a pass of its own, over one grey picture, until the connector is given NaN. That depends
    on no image and no rounding, as a comparison of states would. 0 where no block is read.
    """
    batch = prepared(loaded, [new_image("RGB", (PICTURE, PICTURE), "grey")], prompt).on(loaded.device)
    run = partial(loaded.model.generate, **batch, max_new_tokens=1, do_sample=False, num_beams=1)

    def spoil(_module: nn.Module, _args: Any, output: Any) -> None:
        # In place: the tower may have kept this very tensor before any hook could give it another.
        _tensor(output).fill_(float("nan"))

    for layer in reversed(range(len(loaded.anatomy.vision_blocks))):
        handle = loaded.model.get_submodule(loaded.anatomy.vision_blocks[layer]).register_forward_hook(spoil)
        try:
            if bool(_connector_input(loaded, run).isnan().any()):
                return layer
        finally:
            handle.remove()
    return 0


def _connector_input(loaded: LoadedModel, run: Callable[[], Any]) -> Tensor:
    """What the connector is given in a pass, which ends there, before any other hook on the connector."""
    seen: list[Tensor] = []

    def stop(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(_first(args, kwargs))
        raise _ConnectorReached

    connector = loaded.model.get_submodule(loaded.anatomy.connector)
    handle = connector.register_forward_pre_hook(stop, with_kwargs=True, prepend=True)
    try:
        with suppress(_ConnectorReached):
            run()
    finally:
        handle.remove()
    return seen[0]


def on_host(values: Mapping[Name, Tensor]) -> dict[Name, NDArray[np.float32]]:
    """Float32 copies of tensors on any devices, each device waited for once."""
    copies = {
        name: torch.empty(value.shape, pin_memory=value.is_cuda).copy_(value, non_blocking=True)
        for name, value in values.items()
    }
    for device in {value.device for value in values.values() if value.is_cuda}:
        torch.cuda.current_stream(device).synchronize()
    return {name: value.numpy() for name, value in copies.items()}


def _random_tokens(tokenizer: Any, n_known: int, options: Options) -> list[list[int]]:
    """For each option RANDOM_DRAWS times as many token ids as it has writings. They are drawn from those the model
    knows, without specials and what begins an option, the same for every run of a checkpoint; repeated if the
    vocabulary is small.
    """
    begun = {tokens[0] for ways in options.tokens for tokens in ways}
    usable = sorted(set(range(min(len(tokenizer), n_known))) - set(tokenizer.all_special_ids) - begun)
    sizes = [RANDOM_DRAWS * len(ways) for ways in options.tokens]
    drawn = np.resize(np.random.default_rng(0).permutation(usable), sum(sizes))
    return [part.tolist() for part in np.split(drawn, np.cumsum(sizes)[:-1])]


def _score_random(first: Tensor, drawn: Sequence[Sequence[int]]) -> Tensor:
    """Log of the summed probability of the random tokens that stand for each option, [n_images, RANDOM_DRAWS *
    n_options], a draw after the other.
    """
    options = [first[:, tokens].reshape(len(first), RANDOM_DRAWS, -1).logsumexp(dim=2) for tokens in drawn]
    return torch.stack(options, dim=2).flatten(1)


@dataclass(frozen=True)
class Options:
    """How a model writes the answers.

    tokens: of each answer its writings, token sequences no two of which are alike, the likeliest way first.
    ends: the tokens that end an answer, of which any may, where a writing of one answer begins one of another.
    Without ends no writing begins another, so that they exclude each other and their probabilities add up (save where a
    model has no such tokens).
    """

    tokens: list[list[tuple[int, ...]]]
    ends: list[int]

    def runs(self) -> dict[tuple[int, ...], list[tuple[int, int]]]:
        """What must follow the prompt for each writing to be scored, and the writings (answer, place) that it serves:
        one run for all that begin alike. What the prompt alone serves stands under ().
        """
        places = {(k, i): tokens for k, ways in enumerate(self.tokens) for i, tokens in enumerate(ways)}
        needed = {place: tokens if self.ends else tokens[:-1] for place, tokens in places.items()}
        runs: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for place, tokens in needed.items():
            run = max((other for other in needed.values() if _begins(tokens, other)), key=len) if tokens else ()
            runs.setdefault(run, []).append(place)
        return runs


def options_of(loaded: LoadedModel, prompt: str, answers: Sequence[str]) -> Options:
    """The answers as the model writes them after `prompt`. Raises LoadError where its tokenizer cannot, or the model
    has no such token.
    """
    return exclusive(writings(loaded, prompt, answers), end_tokens(loaded.model))


def exclusive(tokens: list[list[tuple[int, ...]]], ends: list[int]) -> Options:
    """Options that exclude each other: with `ends` where a writing of one answer begins one of another."""
    if ends and _one_begins_another(tokens):
        return Options(tokens, ends)
    return Options([_shortest(ways) for ways in tokens], [])


def _one_begins_another(options: Sequence[Sequence[tuple[int, ...]]]) -> bool:
    return any(
        _begins(a, b) for ways in options for others in options if ways is not others for a in ways for b in others
    )


def _shortest(ways: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The writings of one answer without those that another of them begins, in which they are counted."""
    return [b for b in ways if not any(a != b and _begins(a, b) for a in ways)]


def _begins(a: Sequence[int], b: Sequence[int]) -> bool:
    return b[: len(a)] == a


def end_tokens(model: Any) -> list[int]:
    """The tokens that end an answer, of which any may."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [] if ends is None else [ends]


def prefill(model: Any, batch: Any) -> tuple[dict[str, Any], Any]:
    """Arguments and output of the pass that `generate` makes over the prompt."""
    made: list[tuple[dict[str, Any], Any]] = []
    handle = model.register_forward_hook(lambda _m, _a, kwargs, out: made.append((kwargs, out)), with_kwargs=True)
    try:
        model.generate(**batch, max_new_tokens=1, do_sample=False, num_beams=1, use_cache=True)
    finally:
        handle.remove()
    return made[0]


def score_options(
    model: Any,
    options: Options,
    batch: Any,
    kwargs: dict[str, Any],
    output: Any,
    feed: Callable[[tuple[int, ...]], None] = lambda _: None,
) -> NDArray[np.float32]:
    """Log of the summed probability of each answer's writings after the prompt, [n_images, n_options].

    `kwargs` and `output` are those of a prefill of `batch` with a cache; copies of it are continued, one at a time, and
    `feed` is told the tokens before each. Where answers have ends, a writing counts with any one of them after it.

    No writing is likelier than its first token: those that could not add more than NEGLIGIBLE to the probability that
    any answer is written are left out for an image, and no pass is made for what is left out for all images of the
    batch. Every answer keeps the one of its writings that begins likeliest.
    """
    first = torch.log_softmax(output.logits[:, -1].float(), dim=-1)
    runs, continued = options.runs(), _Continued(model, batch, kwargs, output)
    begin = [first[:, [tokens[0] for tokens in ways]] for ways in options.tokens]
    scores = [torch.full_like(ways, -math.inf) for ways in begin]
    for k, i in runs.pop((), []):
        scores[k][:, i] = begin[k][:, i]
    # The likeliest first, beside which the others may be little.
    for run in sorted(runs, key=lambda run: (-float(first[:, run[0]].max()), run)):
        least = torch.cat(scores, dim=1).logsumexp(dim=1) + math.log(NEGLIGIBLE)
        # Left out only by a comparison that holds: NaN is to be found.
        out = {(k, i): (begin[k][:, i] <= least) & (begin[k][:, i] < begin[k].amax(dim=1)) for k, i in runs[run]}
        if bool(torch.stack(list(out.values())).all()):
            continue
        feed(run)
        later = continued(run)
        for (k, i), left_out in out.items():
            tokens = options.tokens[k][i]
            written = torch.tensor(tokens[1:], dtype=torch.long, device=first.device)
            score = begin[k][:, i] + later[:, torch.arange(len(written)), written].sum(dim=1)
            if options.ends:
                score = score + later[:, len(written), options.ends].logsumexp(dim=-1)
            scores[k][:, i] = score.masked_fill(left_out, -math.inf)
    return torch.stack([ways.logsumexp(dim=1) for ways in scores], dim=1).cpu().numpy()


class _Continued:
    """Log-probabilities after each of a few tokens that go on from a prefill, whose cache stays as it is."""

    def __init__(self, model: Any, batch: Any, kwargs: dict[str, Any], output: Any) -> None:
        self._model, self._mask = model, batch["attention_mask"]
        position = kwargs.get("position_ids")
        self._last = position[..., -1:] if position is not None else self._mask.sum(dim=1, keepdim=True) - 1
        # The cache goes back in under the name it came out with, which depends on the version of transformers.
        self._caches = {name: value for name, value in output.items() if isinstance(value, Cache)}
        if not self._caches:
            raise RowCountError(f"{type(model).__name__} hands on no cache, so that whole answers cannot be scored")
        self._types = [name for name in ("token_type_ids", "mm_token_type_ids") if name in kwargs]

    def __call__(self, tokens: Sequence[int]) -> Tensor:
        """[n_images, n_tokens, vocabulary], float32."""
        given = torch.tensor(tokens, device=self._mask.device).expand(len(self._mask), -1)
        output = self._model(
            input_ids=given,
            attention_mask=torch.cat([self._mask, torch.ones_like(given)], dim=1),
            position_ids=self._last + torch.arange(1, len(tokens) + 1, device=given.device),
            use_cache=True,
            **_copied(self._caches),
            **{name: torch.zeros_like(given) for name in self._types},
        )
        return torch.log_softmax(output.logits.float(), dim=-1)


def _copied(caches: dict[str, Cache]) -> dict[str, Cache]:
    """Caches that can be continued without a change to the originals. Layers that grow by concatenation, which writes
    into no tensor, share theirs.
    """
    layers = [layer for cache in caches.values() for layer in getattr(cache, "layers", ())]
    growing = [layer for layer in layers if type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)]
    shared = [tensor for layer in growing for tensor in (layer.keys, layer.values) if tensor is not None]
    return copy.deepcopy(caches, {id(tensor): tensor for tensor in shared})


def _tensor(output: Any) -> Tensor:
    states: Tensor = output[0] if isinstance(output, tuple | list) else output
    return states


def _first(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    value = args[0] if args else next(v for v in kwargs.values() if isinstance(v, Tensor))
    return _tensor(value)


def _array(value: Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(value.cpu().numpy(), dtype=np.float32)
