"""The same question in other words: the options in reverse order, and the paraphrases of the manifest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise


def reversed_options(prompt: str, answers: Sequence[str]) -> str | None:
    """The prompt with its options in reverse order; None where an answer is not named exactly once."""
    spans = []
    for answer in answers:
        found = list(re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", prompt, re.IGNORECASE))
        if len(found) != 1:
            return None
        spans.append(found[0].span())
    spans.sort()
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        return None
    pieces, position = [], 0
    for (start, end), (other_start, other_end) in zip(spans, reversed(spans), strict=True):
        pieces += [prompt[position:start], prompt[other_start:other_end]]
        position = end
    return "".join([*pieces, prompt[position:]])
