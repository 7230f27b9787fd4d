"""The templates and what they may call: everything is escaped, and a name that is not given is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medprobe.plugins.report import text

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"


def environment() -> Any:
    """Jinja with our templates and what they may call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "points": text.points,
        "shown": text.shown,
        "share": text.percent,
        "number": text.number,
        "interval": text.interval,
        "plain": text.plain,
    }
    found.globals |= {"MARKS": text.MARKS, "MISSING": text.MISSING}
    return found
