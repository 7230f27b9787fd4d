"""How an option is scored: the log-likelihood of its tokens after the prompt."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from medprobe.diagnostics.extraction.pooling import RowCountError
from medprobe.fixtures.models.answer_tokens import writings
from medprobe.fixtures.models.loaded import LoadedModel

RANDOM_DRAWS = 5
"""Sets of as many random tokens as the options have writings, whose likelihoods are the control of the options'."""


NEGLIGIBLE = 1e-4
"""Of the probability that any answer is written: what a writing must be able to add to be worth a pass. Ten times as
much may lie between an image's likelihoods read in a batch and alone. A trained phantom, which knows 400 tokens, gives
1e-6 to 4e-5 to one that it never writes; larger vocabularies less.
"""


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
