"""From generated text to a class. A text that names no class, or several, is unparseable: -1, never a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_THINKING = (
    re.compile(r"<think>.*?</think>", re.DOTALL),
    re.compile(r".*</think>", re.DOTALL),
    re.compile(r"<unused94>.*?<unused95>", re.DOTALL),
)
_UNFINISHED = re.compile(r"(<think>|<unused94>)(?!.*(</think>|<unused95>)).*", re.DOTALL)
_FINAL = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NEGATION = re.compile(
    r"(\b(no|not|without|never|neither|nor|cannot|absence of|absent|negative for|free of|rules? out|ruled out|"
    r"exclud\w+|rather than|instead of|unlikely)|n['\u2019]t)\b[^.;:!?,。]{0,40}$"
)
_NEGATED_AFTER = re.compile(
    r"^\s*((is|was|has been|can be|appears?|seems)\s+)?"
    r"(ruled out|excluded|absent|unlikely|not (present|seen|evident|visible|identified|likely))\b"
)


def strip_thinking(text: str) -> str:
    """The text without its reasoning; reasoning that never ended leaves nothing to read."""
    for pattern in _THINKING:
        text = pattern.sub(" ", text)
    text = _UNFINISHED.sub(" ", text)
    final = _FINAL.findall(text)
    return final[-1] if final else text


def parse(text: str, names: Sequence[Sequence[str]]) -> int:
    """The class `text` says, an index into `names` (each class's answer and synonyms), or -1.

    Longer names win where names overlap ("no pneumonia" over "pneumonia"); a negated name speaks against its class, and
    with two classes for the other one.
    """
    plain = unicodedata.normalize("NFKC", strip_thinking(text)).casefold()
    spans = sorted(
        (
            (match.start(), match.end(), label)
            for label, variants in enumerate(names)
            for name in variants
            for match in re.finditer(_pattern(name), plain)
        ),
        key=lambda span: (span[0] - span[1], span[0]),
    )
    kept: list[tuple[int, int, int]] = []
    for start, end, label in spans:
        if all(end <= s or start >= e for s, e, _ in kept):
            kept.append((start, end, label))
    said: set[int] = set()
    denied: set[int] = set()
    for start, end, label in kept:
        negated = _NEGATION.search(plain[:start]) or _NEGATED_AFTER.search(plain[end:])
        (denied if negated else said).add(label)
    if len(said) == 1:
        return said.pop()
    if not said and len(names) == 2 and len(denied) == 1:
        return 1 - denied.pop()
    return -1


def _pattern(name: str) -> str:
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    words = r"[\s\-]+".join(re.escape(word) for word in re.split(r"[\s\-]+", plain))
    return rf"(?<!\w){words}(?!\w)" if plain.isascii() else words
