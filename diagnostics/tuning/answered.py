"""The user turn of a diagnosis with its answer written after it, and the likelihood of that answer."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medprobe.diagnostics.extraction.inputs import Inputs
from medprobe.diagnostics.extraction.options import end_tokens
from medprobe.fixtures.models.answer_tokens import writings
from medprobe.fixtures.models.chat import conversation
from medprobe.fixtures.models.loaded import LoadedModel

NO_TARGET = -100
GROWING = ("attention_mask", "token_type_ids", "mm_token_type_ids")
"""What a processor gives for each token beside its id."""


def answers_of(loaded: LoadedModel, prompt: str, answers: Sequence[str]) -> list[list[int]]:
    """The tokens of each answer as the model would write it, the first of the writings that a diagnosis scores, and the
    token that ends the turn.
    """
    end = _end(loaded, prompt, answers[0])
    return [[*ways[0], *end] for ways in writings(loaded, prompt, answers)]


def _end(loaded: LoadedModel, prompt: str, answer: str) -> list[int]:
    """The token that the chat template puts after an answer, where it is one that ends generation; else the first that
    does.
    """
    ends = end_tokens(loaded.model)
    text = conversation(loaded, prompt, answer)
    if text is None:
        return ends[:1]
    after = loaded.processor.tokenizer(text.rpartition(answer)[2], add_special_tokens=False)["input_ids"]
    return ([token for token in after if token in ends] or ends)[:1]


def answered(model: Any, inputs: Inputs, answers: Sequence[Sequence[int]]) -> tuple[Inputs, Tensor]:
    """A left-padded batch of turns with an answer (token ids) after each, padded on the right; and the targets, the
    answers' tokens alone: [n, longest].
    """
    longest = max(map(len, answers))
    targets = torch.tensor([[*answer, *[NO_TARGET] * (longest - len(answer))] for answer in answers])
    known = targets != NO_TARGET
    batch = copy.copy(inputs.batch)
    grown = {key: batch[key] for key in GROWING if key in batch}
    for _ in range(longest):
        # What generation gives a token that it writes, which families define for themselves.
        grown = model._update_model_kwargs_for_generation({}, grown, num_new_tokens=1)
    grown["attention_mask"][:, -longest:] *= known
    batch.update(grown, input_ids=torch.cat([batch["input_ids"], targets.where(known, 0)], dim=1))
    return Inputs(inputs.n_images, batch), targets


def negative_log_likelihood(model: Any, batch: dict[str, Any], targets: Tensor) -> Tensor:
    """-log P(answer) of each image, [n], in nats: summed over its tokens, as a diagnosis scores an option."""
    longest = targets.shape[1]
    # Logits of every image token would be the largest tensor of all.
    few = {"logits_to_keep": longest + 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    logits = model(**batch, **few, use_cache=False).logits[:, -longest - 1 : -1].float()
    return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=NO_TARGET, reduction="none").sum(dim=1)
