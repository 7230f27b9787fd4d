"""One forward pass an image: pooled features of every locus, option likelihoods and the generated answer.

Hooks on the prefill of `generate` pool on the device; token states never pile up. The options are scored on copies of
that prefill's cache while generation waits, so that features, likelihoods and text come from the same pass. No hook
waits for a GPU: where rows belong is known before the pass, what was pooled is fetched after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from PIL.Image import new as new_image
from torch import Tensor, nn

from medprobe.diagnostics.extraction.answers import REASONING_TOKENS, unfinished
from medprobe.diagnostics.extraction.inputs import Inputs, prepared, written
from medprobe.diagnostics.extraction.options import _random_tokens, _score_random, options_of, score_options
from medprobe.diagnostics.extraction.pooling import RowCountError
from medprobe.diagnostics.extraction.rows import NumericalFault, _array, _first, _Recorder, _tensor, on_host
from medprobe.fixtures.models.loaded import LoadedModel

PICTURE = 64
"""Pixels a side of the picture on which the tower's way is tried."""


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
