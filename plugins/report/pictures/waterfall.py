"""The chain as steps that add up, also after rounding, and their picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medprobe.diagnostics.records.chain import CHAIN, Chain, Stage
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.pictures.svg import GRID, GROUND, LAST, MEAN, MUTED, PANEL, STYLE, svg_text
from medprobe.plugins.report.sections.sentences import links
from medprobe.plugins.report.text import number


@dataclass(frozen=True)
class ChainStep:
    """One link, in tenths of a point of signal: `before - loss == after`, exactly."""

    stage: Stage
    before: int
    after: int

    @property
    def loss(self) -> int:
        return self.before - self.after


def tenths(signal: float) -> int:
    """Signal (1.0 = every image right) as whole tenths of a point (1000)."""
    return round(signal * 1000)


def steps(signal: Chain | None) -> tuple[ChainStep, ...]:
    """The links from reference to answer. Rounded before they are subtracted, so that what is shown adds up; empty
    where any place was not measured."""
    if signal is None:
        return ()
    values = [float(getattr(signal, place)) for place in CHAIN]
    if not all(math.isfinite(value) for value in values):
        return ()
    levels = [tenths(value) for value in values]
    return tuple(
        ChainStep(stage, before, after)  # type: ignore[arg-type]
        for stage, before, after in zip(CHAIN[1:], levels[:-1], levels[1:], strict=True)
    )


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
        return svg_text(figure)
