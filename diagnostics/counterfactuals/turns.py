"""The same question in another turn: with and without generation prompt, system line and first token, the image after
the text. A turn is written out by the checkpoint's own template, changed as text, and made a template again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from medprobe.fixtures.models.chat import placeholder, turn
from medprobe.fixtures.models.conventions import (
    HEADERS,
    IMAGE,
    OPENINGS,
    PLAIN_HEADER,
    QUESTION,
    SYSTEM_LINES,
    TURNS,
    VICUNA,
)
from medprobe.fixtures.models.refusals import LoadError

if TYPE_CHECKING:
    from medprobe.fixtures.models.loaded import LoadedModel

SYSTEM = "@system@"
_ASKED = "{{ (messages[-1]['content'] | selectattr('type', 'equalto', 'text') | first)['text'] }}"


def turns(loaded: LoadedModel) -> Iterator[tuple[str, str]]:
    """Other turns as chat templates, by what is changed; none where a model has no template."""
    processor = loaded.processor
    if not any(getattr(part, "chat_template", None) for part in (processor, processor.tokenizer)):
        return
    try:
        written = turn(loaded, QUESTION)
    except LoadError:
        return
    for name, text in _turns(loaded, written):
        if text != written and QUESTION in text:
            yield name, literal(text)


def literal(text: str) -> str:
    """A chat template that writes `text`, with the question in the place of QUESTION."""
    before, _, after = text.partition(QUESTION)
    return (
        f"{{{{ {json.dumps(before, ensure_ascii=False)} }}}}{_ASKED}{{{{ {json.dumps(after, ensure_ascii=False)} }}}}"
    )


def _turns(loaded: LoadedModel, written: str) -> Iterator[tuple[str, str]]:
    mark = placeholder(loaded.processor)
    user = _user(mark)
    asked = _rendered(loaded, [user], ask=False)
    if asked is not None and QUESTION in asked:
        if asked != written:
            yield "no generation prompt", asked
        for header in _headers(loaded, user, asked):
            if not written.endswith(header):
                yield f"the generation prompt {header.strip()!r}", asked + header
    yield from _systems(loaded, user, written)
    yield "nothing before the user's turn", _alone(written, mark, loaded.processor.tokenizer.bos_token or "")
    yield "the image after the text", _moved(written, mark)
    yield "no space at the end", written.rstrip(" ")
    yield from _whole(loaded, mark)
    bos = loaded.processor.tokenizer.bos_token
    if bos is not None:
        without = written.removeprefix(bos)
        yield ("no first token", without) if written.startswith(bos) else (f"the first token {bos}", bos + written)


def _whole(loaded: LoadedModel, mark: str) -> Iterator[tuple[str, str]]:
    """Whole turns of published templates whose marks the tokenizer knows."""
    words = loaded.processor.tokenizer.get_vocab()
    for name, (token, text) in TURNS.items():
        if token in words:
            yield f"the turn of {name}", text.replace(IMAGE, mark)
    if loaded.model.config.model_type.startswith("llava"):
        yield "the turn of Vicuna", VICUNA.replace(IMAGE, mark)


def _user(mark: str) -> dict[str, Any]:
    """The user's message in the form that this template takes."""
    parts = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    return {"role": "user", "content": parts, "plain": f"{mark}\n{QUESTION}"}


def _rendered(loaded: LoadedModel, messages: list[dict[str, Any]], ask: bool) -> str | None:
    """What the template writes, its messages in parts or, for templates that know text only, as text."""
    forms = (
        [{"role": m["role"], "content": m["content"]} for m in messages],
        [{"role": m["role"], "content": m["plain"]} for m in messages],
    )
    for form in forms:
        try:
            text = str(
                loaded.processor.apply_chat_template(form, add_generation_prompt=ask, tokenize=False)  # foreign code
            )
        except Exception:
            continue
        if placeholder(loaded.processor) in text and QUESTION in text:
            return text
    return None


def _headers(loaded: LoadedModel, user: dict[str, Any], asked: str) -> list[str]:
    """How an answer may begin after the turn `asked`: as the template begins one it is given, and as published ones."""
    answer = {"role": "assistant", "content": [{"type": "text", "text": SYSTEM}], "plain": SYSTEM}
    told = _rendered(loaded, [user, answer], ask=False)
    found = []
    if told is not None and told.startswith(asked) and SYSTEM in told[len(asked) :]:
        found.append(told[len(asked) :].partition(SYSTEM)[0])
    found += [header for token, header in HEADERS if token in asked]
    if loaded.model.config.model_type.startswith("llava"):
        found.append(PLAIN_HEADER)
    return [header for header in dict.fromkeys(found) if header.strip()]


def _systems(loaded: LoadedModel, user: dict[str, Any], written: str) -> Iterator[tuple[str, str]]:
    """Other system lines: the family's published one, an empty one."""
    system = {"role": "system", "content": [{"type": "text", "text": SYSTEM}], "plain": SYSTEM}
    told = _rendered(loaded, [system, user], ask=True)
    if told is None or SYSTEM not in told:
        return
    before, _, after = told.partition(SYSTEM)
    line = SYSTEM_LINES.get(loaded.model.config.model_type)
    if line is not None:
        yield f"the system line {line!r}", before + line + after
    yield "an empty system line", before + after


def _alone(written: str, mark: str, bos: str) -> str:
    """The turn from where the user's message begins, without what stands before it but the first token."""
    begins = min(written.index(mark), written.index(QUESTION))
    start = max(written.rfind(opening, 0, begins) for opening in OPENINGS)
    return written if start < 0 else (bos if written.startswith(bos) else "") + written[start:]


def _moved(written: str, mark: str) -> str:
    """The image on the other side of the question, with what stands between them."""
    head, _, tail = written.partition(mark)
    if QUESTION in tail:
        between, _, end = tail.partition(QUESTION)
        return f"{head}{QUESTION}{between}{mark}{end}"
    start, _, between = head.partition(QUESTION)
    return f"{start}{mark}{between}{QUESTION}{tail}"
