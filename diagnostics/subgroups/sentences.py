"""Strata in words: everything that speaks of them takes them from here."""

from __future__ import annotations

from medprobe.diagnostics.records.subgroups import Attributes, Judged, Shortcut, Worst


def gap_text(worst: Worst) -> str:
    """`sensitivity for malignant in sex female 41.0 percent, 32.0 points below the rest (24.1 to 40.2)`."""
    gap = worst.gap
    unit = "points" if gap.measure == "signal" else "percent"
    what = "signal of the answer" if gap.measure == "signal" else f"sensitivity for {gap.of}"
    side = "below" if gap.points >= 0 else "above"
    low, high = gap.ci if gap.points >= 0 else (-gap.ci[1], -gap.ci[0])
    return (
        f"{what} in {worst.attribute} {worst.value} {100 * gap.here:.1f} {unit}, {abs(100 * gap.points):.1f} points "
        f"{side} the rest ({100 * low:.1f} to {100 * high:.1f})"
    )


def shortcut_text(name: str, found: Shortcut) -> str:
    """`shortcut by scanner: the answer reads 85.0 points, and 2.0 where scanner tells nothing of the class (...)`."""
    return (
        f"shortcut by {name}: the answer reads {100 * found.pooled:.1f} points, and "
        f"{100 * found.within['answer'].value:.1f} where {name} tells nothing of the class ({_less(found)})"
    )


def shortcuts(found: Attributes | None) -> list[str]:
    """The cautions that follow."""
    each = [] if found is None else found.each
    return [
        shortcut_text(one.name, one.shortcut)
        for one in each
        if one.shortcut is not None and one.shortcut.verdict == "fail"
    ]


def _less(found: Judged) -> str:
    low, high = (100 * bound for bound in found.ci)
    return f"{100 * found.points:.1f} less, {low:.1f} to {high:.1f}"
