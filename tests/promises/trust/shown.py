"""What must not act, and readers of what is shown that notice when something would."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

from markdown_it import MarkdownIt

NAME = "=1+1<img src=x onerror=alert(1)>\x1b[31m::error::x ##[add-mask]x @org `[a](b)"
"""A file's name may hold this."""

EVIL = (
    NAME + "\n::error::x\r::add-mask::y\n\x1b]0;title\x07\x9b2J<script>alert(1)</script>\"'><svg onload=alert(1)>"
    "<a href='javascript:alert(1)'>x</a> ![i](http://evil.example/i) [l](javascript:a) http://evil.example "
    "www.evil.example a@evil.example @org/team #12 | a | <!-- {{ 7 * 7 }} {% raw %} ${x} \u202e\u2028&lt;b&gt;"
)

ACTIVE = {
    "script",
    "img",
    "iframe",
    "object",
    "embed",
    "form",
    "base",
    "link",
    "input",
    "video",
    "audio",
    "foreignobject",
}
LINKS = ("href", "src", "xlink:href", "action", "formaction", "data", "srcdoc")


class Page(HTMLParser):
    """All that would act in a page: scripts, handlers, and links that leave it, except the text `ours`."""

    def __init__(self, html: str, ours: str = "") -> None:
        super().__init__()
        self.found: list[str] = []
        self._ours, self._open = ours, ""
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.found += [tag] if tag in ACTIVE - {"script"} else []
        for name, value in attrs:
            address = re.sub(r"[\s\x00-\x1f]", "", value or "").lower()
            if name.startswith("on") or (name in LINKS and re.match(r"[a-z][a-z0-9+.-]*:|//", address)):
                self.found.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script" and data != self._ours:
            self.found.append(f"script: {data}")
        self.text += data


def acts_in_html(html: str, ours: str = "") -> list[str]:
    return Page(html, ours).found


def acts_in_markdown(text: str) -> list[str]:
    """Raw HTML other than a line break, links, pictures, and names of people or issues."""
    flat = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(text)
    tokens = [*flat, *(child for token in flat for child in token.children or ())]
    found = [
        token.type
        for token in tokens
        if token.type in ("html_block", "link_open", "image", "code_inline", "fence", "code_block")
        or (token.type == "html_inline" and token.content != "<br>")
    ]
    # Addresses are made links in the source, people and issues in what is shown.
    found += re.findall(r"(?<![\\\w])(?:https?://|www\.)\S+", text)
    shown = "\n".join("".join(c.content for c in token.children or ()) for token in flat if token.type == "inline")
    return found + re.findall(r"(?<!\w)[@#]\w+", shown)


def acts_in_csv(text: str) -> list[str]:
    """Cells that a spreadsheet would calculate."""
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    numbers = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
    return [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r")) and not numbers.fullmatch(c)]


def acts_in_terminal(text: str) -> list[str]:
    """Control characters, and commands to a CI runner other than the suite's own."""
    found = [f"control {ord(c):#x}" for c in text if not c.isprintable() and c != "\n"]
    ours = re.compile(r"::(error|warning) title=[^:,]*::")
    found += [line for line in text.split("\n") if line.lstrip().startswith("::") and not ours.match(line)]
    return found + re.findall(r"##\[.*", text)


def acts_in_svg(text: str) -> list[str]:
    root = ElementTree.fromstring(text)
    return acts_in_html(text) + [e.tag for e in root.iter() if e.tag.rpartition("}")[2].lower() in ACTIVE]
