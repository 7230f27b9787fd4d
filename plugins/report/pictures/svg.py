"""How pictures become SVG text, the same bytes for the same numbers: one palette, one style, and no pyplot, so that no
global figure or backend is touched. matplotlib is imported only inside the functions."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

INK, MUTED, PANEL, GROUND = "#1f2430", "#5b6472", "#eef1f5", "#ffffff"
MEAN, LAST, GRID, REFERENCE = "#0072b2", "#d55e00", "#009e73", "#a04a80"
"""Okabe and Ito's colours, told apart also by marker and dash; the reference a darker reddish purple."""
LOST = "#a83c00"
"""Words about a failing link: its vermilion is 3.9 to 1 on white, enough for a line and too faint for words."""
ROLES = {
    INK: "ink", MUTED: "muted", PANEL: "panel", GROUND: "ground",
    MEAN: "mean", LAST: "last", GRID: "grid", REFERENCE: "reference", LOST: "lost",
}  # fmt: skip
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medprobe",
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}


def svg_text(figure: Any) -> str:
    """The figure as SVG, without date and maker."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline(svg: str, name: str, title: str, description: str) -> str:
    """The SVG as part of a page: no prolog, ids of its own, colours by CSS variable with the printed one as default,
    a title and a description for those who do not see it."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid=")', rf"\1{name}-", body)
    body = re.sub(r'((?:xlink:)?href="#)', rf"\1{name}-", body)
    body = re.sub(r"(url\(#)", rf"\1{name}-", body)
    for colour, role in ROLES.items():
        body = body.replace(f": {colour}", f": var(--chart-{role}, {colour})")
    body = body.replace("'DejaVu Sans'", "var(--font)")
    body = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", body, count=1)
    head, rest = body.split(">", 1)
    head += f' role="img" aria-labelledby="{name}-title {name}-desc"'
    label = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    return f"{head}>{label}{rest}"
