"""Perception or reasoning: what is lost before the LLM against what is lost in it, and how much the picture decides.

The question of the hallucination literature (EH-Benchmark, arXiv 2507.22929; modality bias), answered by the chain: its
first half ends at what the LLM is given, its second at the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.pictures.svg import GRID, LAST, MEAN, MUTED, PANEL, STYLE, svg_text
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.text import known, percent, points


@dataclass(frozen=True)
class Halves:
    """Points of signal: what the reference reads, less what the tower and connector, then LLM and head lose."""

    reference: float
    perception: float
    reasoning: float
    answer: float


def halves(diagnosis: Diagnosis) -> Halves | None:
    """The two halves of the chain, rounded as the waterfall is, so that they add up; None where not measured."""
    chain = steps(diagnosis.signal)
    if not chain:
        return None
    vision, connector, llm, answer = (step.loss / 10 for step in chain)
    return Halves(chain[0].before / 10, vision + connector, llm + answer, chain[-1].after / 10)


def halves_text(diagnosis: Diagnosis) -> str:
    """The figure in words; empty where the chain was not measured."""
    found = halves(diagnosis)
    if found is None:
        return ""
    lost = (
        f"Of {points(found.reference / 100)} points, {points(found.perception / 100)} are lost in perception (tower "
        f"and connector) and {points(found.reasoning / 100)} in reasoning (LLM and head)"
    )
    answer = diagnosis.answer
    if answer is None or not known(answer.blank_image) or not known(answer.swapped_image):
        return f"{lost}."
    return (
        f"{lost}. The likeliest option changes for {percent(1 - answer.swapped_image)} of the images when one of "
        f"another class takes their place, and for {percent(1 - answer.blank_image)} when the picture is blank."
    )


def halves_svg(diagnosis: Diagnosis) -> str | None:
    """Two bars of points and two of percent; None where the chain was not measured."""
    found = halves(diagnosis)
    if found is None:
        return None
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = [
        ("perception loses", found.perception, LAST),
        ("reasoning loses", found.reasoning, MEAN),
        ("answer is left with", found.answer, GRID),
    ]
    answer = diagnosis.answer
    if answer is not None:
        changes = (("changed by another image", answer.swapped_image), ("by a blank one", answer.blank_image))
        rows += [(name, 100 * (1 - same), MUTED) for name, same in changes if known(same)]
    with rc_context(STYLE):
        figure = Figure(figsize=(5.6, 0.75 + 0.46 * len(rows)))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.37, right=0.86, top=0.985, bottom=0.62 / (0.75 + 0.46 * len(rows)))
        for row, (_, value, colour) in enumerate(rows):
            axes.barh(row, value, color=colour, height=0.62, zorder=3)
            unit = "" if row < 3 else "%"
            axes.text(
                1.15, row, f"{points(value / 100) if row < 3 else f'{value:.0f}'}{unit}",
                transform=axes.get_yaxis_transform(), ha="right", va="center",
            )  # fmt: skip
        axes.set_xlim(min(0, *(value for _, value, _ in rows)), 100)
        axes.axvline(0, color=MUTED, linewidth=0.9, zorder=4)
        axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", length=3)
        axes.set_xlabel("points of signal; percent of likeliest options")
        axes.grid(axis="x", color=PANEL, zorder=0)
        axes.set_axisbelow(True)
        return svg_text(figure)
