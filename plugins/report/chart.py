"""The two pictures of a diagnosis as SVG text, the same bytes for the same numbers. matplotlib is imported only here,
inside the functions, and never through pyplot, so no global figure or backend is touched."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

from diagnostics.records import Curves, Diagnosis, Layer, Stage
from plugins.report.text import known, number, percent
from plugins.report.waterfall import steps
from plugins.report.words import links, weakest

INK, MUTED, PANEL, GROUND = "#1f2430", "#5b6472", "#eef1f5", "#ffffff"
MEAN, LAST, GRID, REFERENCE = "#0072b2", "#d55e00", "#009e73", "#a04a80"
"""Okabe and Ito's colours, told apart also by marker and dash; the reference a darker reddish purple."""
ROLES = {
    INK: "ink", MUTED: "muted", PANEL: "panel", GROUND: "ground",
    MEAN: "mean", LAST: "last", GRID: "grid", REFERENCE: "reference",
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
SERIES: tuple[tuple[Stage, str, str, str, str, str, str], ...] = (
    ("vision", "vision", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("vision", "vision_grid", "4x4 region means", GRID, "^", ":", "grid"),
    ("connector", "connector", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("connector", "connector_grid", "4x4 region means", GRID, "^", ":", "grid"),
    ("llm", "llm_mean", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("llm", "llm_last", "last prompt token", LAST, "s", "--", "last"),
)


def _svg(figure: Any) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _panels(curves: Curves | None, answer: bool) -> list[tuple[Stage, list[int]]]:
    """The stages that have a point, each with its layer numbers."""
    found: dict[Stage, set[int]] = {}
    for stage, name, *_ in SERIES:
        layers: list[Layer] = [] if curves is None else getattr(curves, name)
        found.setdefault(stage, set()).update(layer.layer for layer in layers if known(layer.accuracy))
    panels: list[tuple[Stage, list[int]]] = [(stage, sorted(numbers)) for stage, numbers in found.items() if numbers]
    return panels + ([("answer", [0])] if answer else [])


def _ticks(numbers: list[int], most: int = 9) -> list[int]:
    stride = max(1, -(-len(numbers) // most))
    kept = numbers[::stride]
    if kept[-1] != numbers[-1]:
        crowded = len(numbers) - 1 - numbers.index(kept[-1]) < max(2, 0.7 * stride)
        kept = [*(kept[:-1] if crowded and stride > 1 else kept), numbers[-1]]
    return kept


def ringed(diagnosis: Diagnosis) -> tuple[str, int, str] | None:
    """Stage, layer and readout where the weakest link was read, if it fails and lies on a curve."""
    weak = weakest(diagnosis)
    if weak is None or weak[2].verdict != "fail" or diagnosis.curves is None:
        return None
    spot = weak[2].locus.split(".")
    if len(spot) != 3 or not spot[1].isdigit():
        return None
    found = spot[0], int(spot[1]), spot[2]
    on_curve = any(
        found == (stage, layer.layer, readout)
        for stage, name, *_, readout in SERIES
        for layer in getattr(diagnosis.curves, name)
        if known(layer.accuracy)
    )
    return found if on_curve else None


def curve_svg(diagnosis: Diagnosis) -> str | None:
    """Accuracy over all stages and layers with 95 percent bands, chance and reference; None without a curve."""
    accuracy = diagnosis.accuracy
    answered = accuracy is not None and known(accuracy.answer)
    panels = _panels(diagnosis.curves, answered)
    if diagnosis.curves is None or all(stage == "answer" for stage, _ in panels):
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.6))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.075, right=0.865, top=0.885, bottom=0.2)
        place, left, ticks = {}, 0.0, []
        ring = ringed(diagnosis)
        lost = {stage for stage, _, link in links(diagnosis) if link.verdict == "fail"}
        for index, (stage, numbers) in enumerate(panels):
            inner = max(len(numbers) - 1, 0)
            pad = 0.5 + 0.035 * sum(len(n) for _, n in panels) * (1.0 if inner == 0 else 0.35)
            right = left + inner + 2 * pad
            axes.axvspan(left, right, color=PANEL if index % 2 == 0 else GROUND, zorder=0, linewidth=0)
            for offset, layer in enumerate(numbers):
                place[stage, layer] = left + pad + offset
            shown = _ticks(numbers) if stage != "answer" else []
            ticks += [(place[stage, layer], str(layer)) for layer in shown]
            axes.text(
                (left + right) / 2, 1.025, f"{stage}\nlost here" if stage in lost else stage, ha="center",
                va="bottom", transform=axes.get_xaxis_transform(), weight="bold" if stage in lost else "normal",
                color=LAST if stage in lost else INK, linespacing=1.3,
            )  # fmt: skip
            left = right
        named = set()
        lows = [] if accuracy is None else [accuracy.chance]
        for stage, name, label, colour, marker, dash, readout in SERIES:
            layers = [layer for layer in getattr(diagnosis.curves, name) if known(layer.accuracy)]
            if not layers:
                continue
            xs = [place[stage, layer.layer] for layer in layers]
            ys = [layer.accuracy for layer in layers]
            low, high = [layer.ci[0] for layer in layers], [layer.ci[1] for layer in layers]
            lows += [value for value in (*ys, *low) if known(value)]
            marks = marker if len(layers) <= 40 else None
            axes.plot(
                xs, ys, color=colour, linestyle=dash, marker=marks, markersize=4.5, linewidth=1.7, zorder=4,
                label=None if label in named else label,
            )  # fmt: skip
            if len(layers) == 1:
                axes.vlines(xs, low, high, color=colour, linewidth=4, alpha=0.3, zorder=3)
            else:
                axes.fill_between(xs, low, high, color=colour, alpha=0.17, linewidth=0, zorder=3)
            named.add(label)
            for layer in layers:
                if ring == (stage, layer.layer, readout):
                    axes.plot(
                        [place[stage, layer.layer]], [layer.accuracy], marker="o", markersize=13, zorder=6,
                        markerfacecolor="none", markeredgecolor=INK, markeredgewidth=1.4,
                    )  # fmt: skip
        edge: list[tuple[float, str, str]] = []
        if accuracy is not None:
            if answered:
                axes.plot(
                    [place["answer", 0]], [accuracy.answer], color=INK, marker="D", markersize=6.5, linestyle="",
                    label="answer as written", zorder=5,
                )  # fmt: skip
                lows.append(accuracy.answer)
            for value, label, colour, line_dash in (
                (accuracy.reference, "reference", REFERENCE, (0, (6, 2))),
                (accuracy.chance, "chance", MUTED, (0, (2, 2))),
            ):
                if known(value):
                    axes.axhline(value, color=colour, linestyle=line_dash, linewidth=1.3, zorder=2)
                    edge.append((value, f"{label} {percent(value)}", colour))
        bottom = max(0.0, min([*lows, 1.0]) - 0.06)
        bottom = int(bottom * 10) / 10
        axes.set_xlim(0, left)
        axes.set_ylim(bottom, 1.015)
        gap = (1.015 - bottom) * 0.06
        edge.sort()
        for index, (value, label, colour) in enumerate(edge):
            crowded = index > 0 and value - edge[index - 1][0] < gap
            axes.text(
                1.01, value + (gap / 2 if crowded else 0), label, transform=axes.get_yaxis_transform(), color=colour,
                va="bottom" if crowded else "center", clip_on=False,
            )  # fmt: skip
        axes.set_xticks([x for x, _ in ticks], [label for _, label in ticks])
        axes.set_xlabel("layer")
        axes.set_ylabel("accuracy")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f}%")
        axes.tick_params(length=3)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, bbox_to_anchor=(0.47, 0.0))
        return _svg(figure)


def waterfall_svg(diagnosis: Diagnosis) -> str | None:
    """Signal in points from the reference to the answer; the bars add up. None where the chain was not measured."""
    chain = steps(diagnosis.signal)
    if not chain:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    verdicts = {stage: link.verdict for stage, _, link in links(diagnosis)}
    rows = ["reference", *(step.stage for step in chain), "answer is left with"]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.6, 3.5))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.245, right=0.86, top=0.985, bottom=0.15)
        totals = {0: chain[0].before, len(rows) - 1: chain[-1].after}
        for row, value in totals.items():
            axes.barh(row, value / 10, color=MEAN, height=0.62, zorder=3)
        for row, step in enumerate(chain, start=1):
            low, high = sorted((step.before / 10, step.after / 10))
            failed = verdicts.get(step.stage) == "fail"
            gained = step.loss < 0
            colour = GRID if gained else LAST if failed else MUTED
            hatch = "////" if verdicts.get(step.stage) == "inconclusive" else None
            axes.barh(
                row, high - low, left=low, height=0.62, zorder=3, linewidth=1.2, edgecolor=colour, hatch=hatch,
                facecolor=colour if hatch is None else GROUND,
            )  # fmt: skip
        for row in range(len(rows) - 1):
            level = (chain[row].before if row < len(chain) else chain[-1].after) / 10
            axes.plot([level, level], [row, row + 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=2)
        levels = [0, 1000, *(step.before for step in chain), chain[-1].after]
        axes.set_xlim(min(levels) / 10 - (3 if min(levels) < 0 else 0), max(levels) / 10)
        for row in range(len(rows)):
            text = number(totals[row] / 10, 1) if row in totals else number(-chain[row - 1].loss / 10, 1)
            if row not in totals and chain[row - 1].loss < 0:
                text = f"+{text}"
            weight = "bold" if row in totals or verdicts.get(chain[row - 1].stage) == "fail" else "normal"
            axes.text(1.15, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center", weight=weight)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=4)
        axes.set_yticks(range(len(rows)), rows)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", length=3)
        axes.set_xlabel("signal in points (0 guessing, 100 every image right)")
        axes.grid(axis="x", color=PANEL, zorder=0)
        axes.set_axisbelow(True)
        return _svg(figure)


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
