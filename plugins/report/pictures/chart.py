"""The curve of a diagnosis: accuracy over all stages and layers in one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from medprobe.diagnostics.records.chain import Accuracy, Curves, Layer, Stage
from medprobe.diagnostics.records.controls import Controls
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.pictures.svg import (
    GRID,
    GROUND,
    INK,
    LAST,
    LOST,
    MEAN,
    MUTED,
    PANEL,
    REFERENCE,
    STYLE,
    svg_text,
)
from medprobe.plugins.report.sections.sentences import links, weakest
from medprobe.plugins.report.text import known, percent

TOP = 1.015
SERIES: tuple[tuple[Stage, str, str, str, str, str, str], ...] = (
    ("vision", "vision", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("vision", "vision_grid", "4x4 region means", GRID, "^", ":", "grid"),
    ("connector", "connector", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("connector", "connector_grid", "4x4 region means", GRID, "^", ":", "grid"),
    ("llm", "llm_mean", "mean over image tokens", MEAN, "o", "-", "mean"),
    ("llm", "llm_last", "last prompt token", LAST, "s", "--", "last"),
)


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


@dataclass(frozen=True)
class _Row:
    """Where the points lie: one panel a stage, layers at whole steps."""

    panels: list[tuple[Stage, float, float]]
    place: dict[tuple[Stage, int], float]
    ticks: list[tuple[float, str]]

    @property
    def width(self) -> float:
        return self.panels[-1][2]


def _row(panels: list[tuple[Stage, list[int]]]) -> _Row:
    total = sum(len(numbers) for _, numbers in panels)
    row = _Row([], {}, [])
    left = 0.0
    for stage, numbers in panels:
        pad = 0.5 + 0.035 * total * (1.0 if len(numbers) == 1 else 0.35)
        right = left + len(numbers) - 1 + 2 * pad
        row.panels.append((stage, left, right))
        row.place.update({(stage, layer): left + pad + offset for offset, layer in enumerate(numbers)})
        if stage != "answer":
            row.ticks.extend((row.place[stage, layer], str(layer)) for layer in _ticks(numbers))
        left = right
    return row


def _draw_panels(axes: Any, row: _Row, lost: set[Stage]) -> None:
    for index, (stage, left, right) in enumerate(row.panels):
        axes.axvspan(left, right, color=PANEL if index % 2 == 0 else GROUND, zorder=0, linewidth=0)
        axes.text(
            (left + right) / 2, 1.025, f"{stage}\nlost here" if stage in lost else stage, ha="center", va="bottom",
            transform=axes.get_xaxis_transform(), weight="bold" if stage in lost else "normal",
            color=LOST if stage in lost else INK, linespacing=1.3,
        )  # fmt: skip


def _draw_series(axes: Any, row: _Row, curves: Curves, ring: tuple[str, int, str] | None) -> list[float]:
    """Draws every curve with its band and returns the heights drawn."""
    heights: list[float] = []
    named: set[str] = set()
    for stage, name, label, colour, marker, dash, readout in SERIES:
        layers = [layer for layer in getattr(curves, name) if known(layer.accuracy)]
        if not layers:
            continue
        xs = [row.place[stage, layer.layer] for layer in layers]
        ys = [layer.accuracy for layer in layers]
        low, high = [layer.ci[0] for layer in layers], [layer.ci[1] for layer in layers]
        heights += [*ys, *low]
        axes.plot(
            xs, ys, color=colour, linestyle=dash, marker=marker if len(layers) <= 40 else None, markersize=4.5,
            linewidth=1.7, zorder=4, label=None if label in named else label,
        )  # fmt: skip
        named.add(label)
        if len(layers) == 1:
            axes.vlines(xs, low, high, color=colour, linewidth=4, alpha=0.3, zorder=3)
        else:
            axes.fill_between(xs, low, high, color=colour, alpha=0.17, linewidth=0, zorder=3)
        for x, layer in zip(xs, layers, strict=True):
            if ring == (stage, layer.layer, readout):
                axes.plot(
                    [x], [layer.accuracy], marker="o", markersize=13, zorder=6, markerfacecolor="none",
                    markeredgecolor=INK, markeredgewidth=1.4,
                )  # fmt: skip
    return heights


def _draw_answer(axes: Any, x: float, accuracy: float) -> list[float]:
    axes.plot([x], [accuracy], color=INK, marker="D", markersize=6.5, linestyle="", label="answer as written", zorder=5)
    return [accuracy]


def _draw_lines(axes: Any, accuracy: Accuracy, controls: Controls | None, bottom: float) -> None:
    """Reference, chance and floors, named at the right edge; where they are close, the upper name moves up."""
    named: list[tuple[float | None, str, str, Any, float]] = [
        (accuracy.reference, "reference", REFERENCE, (0, (6, 2)), 1.3),
        (accuracy.chance, "chance", MUTED, (0, (2, 2)), 1.3),
    ]
    if controls is not None:
        named.append((controls.pixels.accuracy, "16x16 pixels", MUTED, (0, (6, 1, 1, 1)), 0.8))
    if controls is not None and controls.file_facts.facts:
        named.append((controls.file_facts.accuracy, "file facts", MUTED, (0, (1, 3)), 0.9))
    gap = (TOP - bottom) * 0.06
    above = -1.0
    for value, label, colour, dash, thickness in sorted(((v, *rest) for v, *rest in named if known(v)), key=_height):
        axes.axhline(value, color=colour, linestyle=dash, linewidth=thickness, zorder=2)
        above = max(value, above + gap)
        axes.text(
            1.01, above, f"{label} {percent(value)}", transform=axes.get_yaxis_transform(), color=colour, va="center",
            clip_on=False,
        )  # fmt: skip


def _height(line: tuple[Any, ...]) -> float:
    return float(line[0])


def _draw_controls(axes: Any, row: _Row, controls: Controls) -> list[float]:
    """The band of permuted labels over everything, and the untrained twin in the panels it was read in."""
    low, high = controls.null.accuracy
    axes.axhspan(low, high, color=MUTED, alpha=0.15, linewidth=0, zorder=1, label="permuted labels")
    heights = [low]
    label: str | None = "untrained twin"
    for stage, left, right in row.panels:
        exit_ = getattr(controls.twin, stage, None)
        if exit_ is not None:
            axes.hlines(exit_.twin_accuracy, left, right, color=INK, linestyle=":", linewidth=1, zorder=2, label=label)
            heights, label = [*heights, exit_.twin_accuracy], None
    return heights


def curve_svg(diagnosis: Diagnosis) -> str | None:
    """Accuracy over all stages and layers with 95 percent bands, chance, reference and controls; None without a
    curve.
    """
    accuracy, curves = diagnosis.accuracy, diagnosis.curves
    panels = _panels(curves, accuracy is not None and known(accuracy.answer))
    if curves is None or all(stage == "answer" for stage, _ in panels):
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.75))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.075, right=0.85, top=0.885, bottom=0.235)
        row = _row(panels)
        _draw_panels(axes, row, {stage for stage, _, link in links(diagnosis) if link.verdict == "fail"})
        heights = _draw_series(axes, row, curves, ringed(diagnosis))
        if diagnosis.controls is not None:
            heights += _draw_controls(axes, row, diagnosis.controls)
        if accuracy is not None:
            heights += [accuracy.chance]
            if known(accuracy.answer):
                heights += _draw_answer(axes, row.place["answer", 0], accuracy.answer)
        lowest = min([1.0, *(height for height in heights if known(height))])
        bottom = int(max(0.0, lowest - 0.06) * 10) / 10
        if accuracy is not None:
            _draw_lines(axes, accuracy, diagnosis.controls, bottom)
        axes.set_xlim(0, row.width)
        axes.set_ylim(bottom, TOP)
        axes.set_xticks([x for x, _ in row.ticks], [label for _, label in row.ticks])
        axes.set_xlabel("layer")
        axes.set_ylabel("accuracy")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:.0f}%")
        axes.tick_params(length=3)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, bbox_to_anchor=(0.47, 0.0))
        return svg_text(figure)
