"""From generated text to a class. A text that names no class, or several, is unparseable: -1, never a guess."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

OPTION_SCORE = (
    "log of the summed probability of an answer's writings after the prompt (as given, in lower case, with a capital, "
    "with a space or without), each the product over its tokens; where one answer begins another, the end of every "
    "answer counts too"
)
"""How an option is scored: the probability that the model begins its text with this answer, by the chain rule.

The tokens are those that the model would write after its prompt (`medprobe.fixtures.models.answer_tokens`): after
`ASSISTANT:` a model writes " normal", and the likelihood of "normal" says nothing of what it answers. Dividing by
length gives no probability and favours long words, whose later tokens follow from the first. An answer that begins
another ("normal", "normal variant") would be the likelier of the two whatever the model writes; scored with their ends,
the answers exclude each other again.
"""

REASONING_TOKENS = 512
"""Room for a reasoning block and the answer after it."""

_THINKING = (
    re.compile(r"<think>.*?</think>", re.DOTALL),
    re.compile(r".*</think>", re.DOTALL),
    re.compile(r"<unused94>.*?<unused95>", re.DOTALL),
)
_UNFINISHED = re.compile(r"(<think>|<unused94>)(?!.*(</think>|<unused95>)).*", re.DOTALL)
_FINAL = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.DOTALL)

_MARKUP = re.compile(r"[*_`#~]+")
_CLAUSE_END = re.compile(
    r"[.;:!?。\n]|\b(?:but|however|although|though|therefore|thus|hence|whereas|while|because|since|so (?:the|this|it)|"
    r"and (?:it|this|the \w+) (?:is|are|looks|appears)|aber|sondern|jedoch|daher|mais|cependant|donc)\b|"
    r"而是|但是|但|所以|因此"
)
_NEGATION = (
    r"(?:(?<!\w)(?:no(?! doubt| question)|not(?! only)|without(?! (?:a |any )?doubt)|never|neither|nor|non|cannot|"
    r"absence of|absent|lack of|negative for|free of|rules? out|ruled out|exclud\w+|rather than|instead of|unlikely|"
    r"kein\w*|nicht|ohne|weder|pas|aucune?|sans|ni)(?!\w)|n['\u2019]t(?!\w)|[不未无無没沒非]|排除)"
)
_NEGATED = re.compile(_NEGATION + r"[^,]*$")
_LISTED = re.compile(
    r"(?:(?<!\w)(?:no|without|neither|absence of|negative for|free of|keine?|ohne|sans|aucune?)(?!\w)|"
    r"(?:not|n['\u2019]t) (?:show|have|see|reveal|demonstrate|indicate|suggest|contain|exhibit|display)\w*)\s+\w.*$"
)
"""Negations that reach over commas, to a name in a list which ends in `or` ("no effusion, pneumonia or mass")."""
_LAST_OF_LIST = re.compile(r"(?<!\w)(?:or|nor|oder|noch|ou|ni)\s+(?:\w+\s+)?$")
_MORE_OF_LIST = re.compile(r"^[\w\s]*(?:,[\w\s]*)*(?<!\w)(?:or|nor|oder|noch|ou|ni)(?!\w)")
_NEGATED_AFTER = re.compile(
    r"^\W*(?:(?:is|was|has been|can be|appears?|seems|ist|wird|kann|est|a \u00e9t\u00e9)\s+)?"
    r"(?:(?:ruled out|excluded|absent|unlikely|not (?:present|seen|evident|visible|identified|likely)|ausgeschlossen|"
    r"unwahrscheinlich|nicht (?:vorhanden|nachweisbar|sichtbar|erkennbar)|exclue?s?|peu probable)(?!\w)|"
    r"阴性|陰性|已排除)"
    r"|^[\"'\s]*:\s*[\"']?(?:false|no|absent|negative)(?!\w)"
)
_REFUSAL = re.compile(
    r"\b(?:can(?:not|['\u2019]t| not)|could not|couldn['\u2019]t|unable to|not able to|not possible to|will not|"
    r"won['\u2019]t|decline to)\b[^,]*?\b(?:provid|giv|offer|mak|tell|say|determin|diagnos|interpret|assess|analy[sz]|"
    r"assist|help|confirm|answer|comment|classif|evaluat|judg|(?:see|view|open|access) (?:the|any|this|an) "
    r"(?:image|picture|scan|x-ray))|"
    r"\b(?:consult|see|seek|contact|speak (?:to|with))\b[^,]{0,40}\b(?:physician|doctor|radiologist|professional|"
    r"specialist|clinician|advice)\b|\bnot (?:a (?:doctor|physician|medical professional)|medical advice)\b|"
    r"\bkann (?:ich )?(?:keine diagnose|nicht (?:beurteilen|sagen))|\bje ne peux pas\b|\bconsultez\b|"
    r"无法|不能(?:提供|诊断|判断|确定)|请咨询"
)
_HEDGE = re.compile(r"(?:not|n['\u2019]t) (?:be )?(?:rule[ds]? out|excluded?)|nicht (?:auszuschliessen|ausgeschlossen)")


def unfinished(text: str) -> bool:
    """Whether the text breaks off inside its reasoning."""
    return _UNFINISHED.search(text) is not None


def strip_thinking(text: str) -> str:
    """The text without its reasoning; reasoning that never ended leaves nothing to read."""
    for pattern in _THINKING:
        text = pattern.sub(" ", text)
    text = _UNFINISHED.sub(" ", text)
    final = _FINAL.findall(text)
    return final[-1] if final else text


def refuses(text: str) -> bool:
    """Whether `text` declines to answer or sends the reader to a physician; of interest where it names no class."""
    return _REFUSAL.search(_plain(strip_thinking(text))) is not None


def parse(text: str, names: Sequence[Sequence[str]]) -> int:
    """The class `text` says, an index into `names` (each class's answer and synonyms), or -1.

    Longer names win where names overlap ("no pneumonia" over "pneumonia"). A negated name speaks against its class, and
    with two classes for the other one. Clauses that ask, refuse or only fail to exclude say nothing.
    """
    plain = _plain(strip_thinking(text))
    spans = _spans(plain, names)
    said: set[int] = set()
    denied: set[int] = set()
    for start, end, label in spans:
        first, last, asked = _clause(plain, start, end, spans)
        clause, before, after = plain[first:last], plain[first:start], plain[end:]
        if asked or _REFUSAL.search(clause) or _HEDGE.search(clause):
            continue
        (denied if _negated(before, after, plain[end:last]) else said).add(label)
    if len(said) == 1:
        return said.pop()
    if not said and len(names) == 2 and len(denied) == 1:
        return 1 - denied.pop()
    return -1


def _plain(text: str) -> str:
    """Compatible forms made one (full-width letters and punctuation), case folded, markup gone."""
    return _MARKUP.sub(" ", unicodedata.normalize("NFKC", text).casefold())


def _spans(plain: str, names: Sequence[Sequence[str]]) -> list[tuple[int, int, int]]:
    """Start, end and class of every name in the text; of overlapping ones the longest."""
    found = sorted(
        (
            (match.start(), match.end(), label)
            for label, variants in enumerate(names)
            for name in variants
            for match in re.finditer(_pattern(name), plain)
            if _whole(plain, match.start(), match.end())
        ),
        key=lambda span: (span[0] - span[1], span[0]),
    )
    kept: list[tuple[int, int, int]] = []
    for start, end, label in found:
        if all(end <= s or start >= e for s, e, _ in kept):
            kept.append((start, end, label))
    return kept


def _pattern(name: str) -> str:
    return r"[\s\-]+".join(re.escape(word) for word in re.split(r"[\s\-]+", _plain(name).strip()))


def _whole(plain: str, start: int, end: int) -> bool:
    """Whether the match is a whole word. Scripts without case, such as Chinese, put no space between words."""
    edges = ((plain[start], plain[start - 1 : start]), (plain[end - 1], plain[end : end + 1]))
    return not any(_lettered(inside) and _lettered(beside) for inside, beside in edges)


def _lettered(character: str) -> bool:
    return character.isdigit() or character.lower() != character.upper()


def _clause(plain: str, start: int, end: int, spans: Sequence[tuple[int, int, int]]) -> tuple[int, int, bool]:
    """Where the clause around a name begins and ends, and whether it asks."""
    first, last, asked = 0, len(plain), False
    for stop in _CLAUSE_END.finditer(plain):
        if any(s < stop.end() and stop.start() < e for s, e, _ in spans):
            continue
        if stop.end() <= start:
            first = stop.end()
        elif stop.start() >= end:
            last, asked = stop.start(), stop[0] == "?"
            break
    return first, last, asked


def _negated(before: str, after: str, rest: str) -> bool:
    if _NEGATED.search(before) or _NEGATED_AFTER.search(after):
        return True
    return bool(_LISTED.search(before) and (_LAST_OF_LIST.search(before) or _MORE_OF_LIST.search(rest)))
