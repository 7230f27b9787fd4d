"""Answers of hybrids of two models, the parts they share computed once.

A hybrid is the first model with some modules of the second. All that lies between the modules (merging image features
into the text, tiles, masks, positions) is the first model's own code, run anew for every hybrid; tower, connector and
decoder answer from memory where everything up to them is as in the hybrid before. Hybrids come in the order in which
what changes last changes first, so that each module keeps one result: the likelihoods of all 16 cost two passes through
the tower, four through the connector, eight through the decoder. While text is written the decoder remembers nothing,
since what it is given depends on the words before.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from PIL.Image import new as new_image
from torch import nn
from transformers import Cache
from transformers.utils import ModelOutput

from medprobe.diagnostics.causes.pieces import Assembly, Choice
from medprobe.diagnostics.extraction.answers import REASONING_TOKENS, unfinished
from medprobe.diagnostics.extraction.batches import Limit, read_all
from medprobe.diagnostics.extraction.inputs import Inputs, prepared, written
from medprobe.diagnostics.extraction.options import options_of, prefill, score_options
from medprobe.fixtures.models.anatomy import Anatomy
from medprobe.fixtures.models.loaded import LoadedModel

Call = tuple[tuple[int, ...], int]
"""The tokens after the prompt that a module was given, and how many calls it had with them before."""


class Hybrids:
    """Reads hybrids of two models of one architecture. Use inside `with hybrids.ready():`.

    The processor is that of `loaded`. `passes` counts, by dotted name, the forward passes that were really made.
    """

    def __init__(self, loaded: LoadedModel, against: LoadedModel, prompt: str, options: Sequence[str]) -> None:
        self._loaded, self._against, self._prompt = loaded, against, prompt
        self._options = options_of(loaded, prompt, options)
        self._assembly = Assembly(loaded, against)
        self._memory = _Memory()
        self._max_new_tokens = 1

    @property
    def passes(self) -> Counter[str]:
        return self._memory.passes

    @contextmanager
    def ready(self) -> Iterator[Hybrids]:
        """The first model may be a hybrid inside this context; both are as they were after it."""
        both = (self._loaded, self._against)
        # transformers puts the hooks that record hidden states on a model's blocks in its first run, and blocks that
        # have none would be missing from a hybrid's.
        for loaded in both:
            prefill(loaded.model, prepared(loaded, [new_image("RGB", (64, 64))], self._prompt).on(loaded.device))
        undo = [
            _replace_forward(loaded.model.get_submodule(path), functools.partial(self._memory.remember, path, depth))
            for loaded in both
            for path, depth in _remembered(self._loaded.anatomy)
        ]
        try:
            yield self
        finally:
            self._assembly.assemble((0, 0, 0, 0))
            for put_back in undo:
                put_back()
            self._memory.forget()

    def read(self, images: Sequence[Image], choices: Sequence[Choice], limit: Limit) -> Iterator[NDArray[np.float32]]:
        """A batch at a time, the log-likelihoods of the options: [n_choices, n_images of batch, n_options]."""
        return read_all(self._prepare, lambda inputs: self._scores(inputs, choices), images, limit)

    def write(
        self, images: Sequence[Image], choices: Sequence[Choice], limit: Limit, max_new_tokens: int
    ) -> Iterator[list[list[str]]]:
        """A batch at a time, the greedy answers under every choice: n_choices lists of n_images of batch texts. A model
        that turns out to reason first gets room for it, as it does in extraction.
        """
        self._max_new_tokens = max_new_tokens
        return read_all(self._prepare, lambda inputs: self._texts(inputs, choices), images, limit)

    def scores(self, images: Sequence[Image], choices: Sequence[Choice]) -> NDArray[np.float32]:
        """Log-likelihoods of the options, [n_choices, n_images, n_options], for one batch of images."""
        return self._scores(self._prepare(images), choices)

    def _prepare(self, images: Sequence[Image]) -> Inputs:
        return prepared(self._loaded, images, self._prompt)

    @torch.inference_mode()
    def _scores(self, inputs: Inputs, choices: Sequence[Choice]) -> NDArray[np.float32]:
        batch = inputs.on(self._loaded.device)
        model = self._loaded.model
        found = {
            choice: score_options(model, self._options, batch, *prefill(model, batch), feed=self._memory.feed)
            for choice in self._assembled(choices)
        }
        return np.stack([found[choice] for choice in choices])

    @torch.inference_mode()
    def _texts(self, inputs: Inputs, choices: Sequence[Choice]) -> list[list[str]]:
        batch = inputs.on(self._loaded.device)
        found: dict[Choice, list[str]] = {}
        for choice in self._assembled(choices, silent={self._loaded.anatomy.decoder}):
            texts = self._written(batch)
            if self._max_new_tokens < REASONING_TOKENS and any(map(unfinished, texts)):
                self._max_new_tokens = REASONING_TOKENS
                self._memory.begin(choice)
                texts = self._written(batch)
            found[choice] = texts
        return [found[choice] for choice in choices]

    def _written(self, batch: Any) -> list[str]:
        rows = self._loaded.model.generate(
            **batch, max_new_tokens=self._max_new_tokens, do_sample=False, num_beams=1, use_cache=True
        )
        n = batch["input_ids"].shape[1]
        return [written(self._loaded.processor.tokenizer, row[n:]) for row in rows]

    def _assembled(self, choices: Sequence[Choice], silent: Collection[str] = ()) -> Iterator[Choice]:
        """The model made each hybrid in turn, in the order that shares most; modules in `silent` remember nothing."""
        self._memory.forget(silent)
        for choice in sorted(set(choices)):
            self._assembly.assemble(choice)
            self._memory.begin(choice)
            yield choice
        self._memory.forget()


def _remembered(anatomy: Anatomy) -> list[tuple[str, int]]:
    """The modules that answer from memory, and of how many modules of the chain their output is made."""
    connectors = (anatomy.connector, *anatomy.deepstack)
    # A tower with connectors inside depends on them too; its blocks do not.
    nested = any(name.startswith(f"{anatomy.tower}.") for name in connectors)
    tower = anatomy.vision_blocks if nested else (anatomy.tower,)
    return [*((name, 1) for name in tower), *((name, 2) for name in connectors), (anatomy.decoder, 3)]


def _replace_forward(module: nn.Module, remember: Callable[..., Any]) -> Callable[[], None]:
    """Let `remember` stand before `module.forward`; returns what undoes it."""
    # Device placement may already have put a forward of its own on the instance.
    own = module.__dict__.get("forward")
    forward = module.forward
    module.forward = functools.wraps(forward)(functools.partial(remember, forward))

    def undo() -> None:
        if own is None:
            del module.forward
        else:
            module.forward = own

    return undo


class _Memory:
    """The last outputs of each module, valid while the modules up to it are chosen as they were.

    A module may run several times in one reading (tiles, the further tokens of an option): its n-th call after the same
    tokens under the same choices gives the same.
    """

    def __init__(self) -> None:
        self.passes: Counter[str] = Counter()
        self._choice: Choice = (0, 0, 0, 0)
        self._fed: tuple[int, ...] = ()
        self._calls: Counter[str] = Counter()
        self._silent: Collection[str] = ()
        self._held: defaultdict[str, tuple[tuple[int, ...], dict[Call, Any]]] = defaultdict(lambda: ((), {}))

    def begin(self, choice: Choice) -> None:
        """The next passes are those of the hybrid of this choice."""
        self._choice = choice
        self.feed(())

    def feed(self, tokens: tuple[int, ...]) -> None:
        """What runs from here on is given these tokens after the prompt."""
        self._fed = tokens
        self._calls.clear()

    def forget(self, silent: Collection[str] = ()) -> None:
        """Nothing is held any more; modules in `silent` will not be remembered until this is called again."""
        self._held.clear()
        self._silent = silent

    def remember(self, path: str, depth: int, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The output of a piece at `path`, run only where the pieces up to `depth` were not chosen so before."""
        if path in self._silent:
            self.passes[path] += 1
            return forward(*args, **kwargs)
        made_of = self._choice[:depth]
        if self._held[path][0] != made_of:
            self._held[path] = (made_of, {})
        outputs, call = self._held[path][1], (self._fed, self._calls[path])
        self._calls[path] += 1
        if call not in outputs:
            outputs[call] = _without_cache(forward(*args, **kwargs)) if self._fed else forward(*args, **kwargs)
            self.passes[path] += 1
        return outputs[call]


def _without_cache(output: Any) -> Any:
    """Nothing goes on from the tokens of an option, and a copy of the cache for each would fill the memory."""
    for name, value in output.items() if isinstance(output, ModelOutput) else ():
        if isinstance(value, Cache):
            output[name] = None
    return output
