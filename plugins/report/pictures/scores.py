"""Scores of the answer as pictures: ROC curves of its classes, and how far its probabilities can be believed."""

from __future__ import annotations

from typing import Any

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.scores import AnswerScores
from medprobe.plugins.report.pictures.svg import GRID, LAST, MEAN, MUTED, PANEL, REFERENCE, STYLE, svg_text
from medprobe.plugins.report.text import joined, percent

LINES = ((MEAN, "-"), (LAST, "--"), (GRID, "-."), (REFERENCE, ":"))
"""Colour and dash of the classes; of more than four the first come again."""
SIZE, ROOM = (4.1, 3.6), {"left": 0.15, "right": 0.97, "top": 0.97, "bottom": 0.15}
LONGEST = 24
"""Letters of a class's name in a picture."""


def drawn_classes(scores: AnswerScores) -> list[str]:
    """Of two classes the last alone, since the curve of the other is the same turned round."""
    names = list(scores.roc)
    return names[-1:] if len(names) == 2 else names


def ranking_svg(diagnosis: Diagnosis) -> str | None:
    """Sensitivity by false-positive rate of each class against the rest; None where there are no scores."""
    scores = diagnosis.scores
    if scores is None:
        return None
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure, axes = _with_diagonal()
        for index, name in enumerate(drawn_classes(scores)):
            colour, dash = LINES[index % len(LINES)]
            curve = [100 * value for value in scores.roc[name]]
            axes.plot(
                [0, *range(len(curve))], [0, *curve], color=colour, linestyle=dash, linewidth=2, label=_short(name)
            )
            point = scores.operating_point.get(name)
            if point is not None and point.specificity.value is not None and point.sensitivity.value is not None:
                at = 100 - 100 * point.specificity.value, 100 * point.sensitivity.value
                axes.plot(*at, marker="D", markersize=8, color=colour, linestyle="none", zorder=5)
        _square(axes, "false-positive rate, percent", "sensitivity, percent")
        return svg_text(figure)


def reliability_svg(diagnosis: Diagnosis) -> str | None:
    """The share of likeliest options that are right, by their probability; None where there are no scores."""
    scores = diagnosis.scores
    if scores is None:
        return None
    from matplotlib import rc_context

    with rc_context(STYLE):
        figure, axes = _with_diagonal()
        for label, found, colour, marker, dash in (
            ("as given", scores.probabilities, LAST, "o", "--"),
            ("after the offset", scores.probabilities_after_offset, MEAN, "s", "-"),
        ):
            bins = found.reliability
            total = sum(b.n_images for b in bins) or 1
            x, y = [100 * b.confidence for b in bins], [100 * b.right for b in bins]
            axes.plot(x, y, color=colour, linestyle=dash, linewidth=1.6, zorder=3)
            axes.plot([], [], color=colour, linestyle=dash, marker=marker, label=label)
            sizes = [25 + 175 * b.n_images / total for b in bins]
            axes.scatter(x, y, s=sizes, color=colour, marker=marker, zorder=4)
        _square(axes, "probability of the likeliest option, percent", "of these right, percent")
        return svg_text(figure)


def ranking_text(diagnosis: Diagnosis) -> str:
    """The ROC curves for those who do not see them."""
    scores = diagnosis.scores
    if scores is None:
        return ""
    at = [
        f"{name} {percent(scores.roc[name][10])} and {percent(scores.roc[name][50])}" for name in drawn_classes(scores)
    ]
    return f"Sensitivity where 10% and where 50% of the other images are called the class: {joined(at)}."


def reliability_text(diagnosis: Diagnosis) -> str:
    """The reliability plot for those who do not see it."""
    scores = diagnosis.scores
    if scores is None:
        return ""
    parts = [
        f"{label}: "
        + joined(f"of {b.n_images} images at {percent(b.confidence)} {percent(b.right)} are right" for b in bins)
        for label, bins in (
            ("As given", scores.probabilities.reliability),
            ("After the offset", scores.probabilities_after_offset.reliability),
        )
    ]
    return f"{'. '.join(parts)}."


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _with_diagonal() -> Any:
    """A figure and its axes with the line of guessing, or of perfect calibration."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    figure.subplots_adjust(**ROOM)
    axes.plot([0, 100], [0, 100], color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=2)
    return figure, axes


def _square(axes, across: str, up: str) -> None:  # type: ignore[no-untyped-def]
    axes.set_xlim(-2, 102)
    axes.set_ylim(-2, 102)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color=PANEL, zorder=0)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right" if across.startswith("false") else "upper left", frameon=False)
