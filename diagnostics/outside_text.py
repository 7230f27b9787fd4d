"""Text from outside made fit to be shown: names, messages and captured output come from hubs, files and libraries.

A page, a table and a terminal each have signs of their own to escape. What none of them may show is taken away here.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from itertools import zip_longest

HIDDEN = "***"
SECRET = re.compile(
    r"(?:^|_)(?:PAT|CREDS?|SAS|DSN)(?:_|$)|_PW(?:D)?(?:_|$)|TOKENS?(?:_|$)|SECRET|PASSW(?:OR)?D|PASSPHRASE|CREDENTIAL"
    r"|(?:^|_|API|ACCESS|PRIVATE|ACCOUNT|SIGNING|ENCRYPTION)KEYS?(?:_|$)|CONNECTION_?STRING",
    re.IGNORECASE,
)
"""Names of variables whose values are never shown, as AWS, Azure, databases, hubs and model providers call them. `PWD`
alone is the working folder."""

LONGEST = 60
"""Characters of a value that is shown in a sentence or a cell; chat templates have thousands."""

SHORTEST = 8
"""Characters of a value that is taken for a secret; a shorter one would be found in ordinary words."""

LOOKS_SECRET = (
    re.compile(r"(?<=://)[^/\s@:]*:[^\s@]+(?=@)"),
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),
    re.compile(r"(?<=[?&])((?:[\w-]*[_-])?(?:token|key|secret|signature|sig|password|credential)=)[^&\s'\"]+", re.I),
    re.compile(r"\b(?:hf|gh[pousr]|github_pat)_\w{20,}"),
)
"""Users of a URL, signed or keyed queries, tokens of hubs: known by their form, wherever they come from."""


def masked(text: str, variables: Mapping[str, str] = os.environ) -> str:
    """The text without the secrets among `variables`, and without what looks like one."""
    secrets = {value for name, value in variables.items() if len(value) >= SHORTEST and SECRET.search(name)}
    # The longest first, since one may be part of another.
    for secret in sorted(secrets, key=lambda value: (-len(value), value)):
        text = text.replace(secret, HIDDEN)
    for form in LOOKS_SECRET:
        text = form.sub(lambda found: f"{found[1] if found.re.groups else ''}{HIDDEN}", text)
    return text


def holds_secret(url: str) -> bool:
    """Whether a URL has a password, or a signed or keyed query; a user's name alone is none."""
    return any(form.search(url) for form in (LOOKS_SECRET[0], *LOOKS_SECRET[2:]))


def inert(text: str) -> str:
    """The text without secrets, without control characters other than line breaks, and without the signs that begin a
    command to a CI runner."""
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in masked(text))
    return re.sub(":(?=:)", ": ", printable).replace("##[", "## [")


def say(*lines: object, error: bool = False) -> None:
    """Print what a command has to say, to standard error where it is one. What a line quotes from a file can neither
    break it nor command a terminal or a CI runner.
    """
    for line in lines:
        print(inert(str(line).replace("\n", " ")), file=sys.stderr if error else sys.stdout, flush=True)


def one_line(text: str) -> str:
    """The text made inert and put on one line."""
    return " ".join(inert(text).split())


def brief(value: object) -> str:
    """A setting's value in one line of at most LONGEST characters."""
    text = _value(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def briefs(first: object, second: object) -> tuple[str, str]:
    """Two values of one setting, long ones from where they begin to differ."""
    texts = _value(first), _value(second)
    if max(map(len, texts)) <= LONGEST:
        return texts
    differs = (i for i, (a, b) in enumerate(zip_longest(*texts)) if a != b)
    start = next(differs, 0) - LONGEST // 4
    if start <= 0:
        return brief(texts[0]), brief(texts[1])
    return brief(f"...{texts[0][start:]}"), brief(f"...{texts[1][start:]}")


def _value(value: object) -> str:
    if value is None:
        return "not set"
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)) or "empty"
