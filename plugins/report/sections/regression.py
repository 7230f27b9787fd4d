"""Changes since the baseline, and limits of Feature Health Scores."""

from __future__ import annotations

from medprobe.diagnostics.baselines.sentences import all_changes, needed_text
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import interval, number, points

MOST_STRATA = 6


def change_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """Place or class, change in points, its interval, the margin asked, the loss accepted, images needed, adjusted p,
    verdict.
    """
    found = diagnosis.regression
    if found is None:
        return []
    advising = {stage for stage in found.exits if stage not in found.deciding}
    rows: list[tuple[str, ...]] = [
        (
            name,
            points(c.change),
            interval(c.ci),
            points(least if c.asked is None else c.asked),
            points(least),
            "" if name in advising else needed_text(c.needed),
            f"{c.p_adjusted:.2g}",
            ("advises: " if name in advising else "") + c.verdict.replace("_", " "),
        )
        for name, c, least in all_changes(found)
    ]
    lost = [c for c in found.strata if c.verdict == "regressed"]
    return rows + [
        (
            f"{c.measure}{f' for {c.of}' if c.of else ''} in {c.attribute} {c.value}",
            points(c.change),
            interval(c.ci),
            points(c.margin),
            points(c.margin),
            "",
            f"{c.p_adjusted:.2g}",
            c.verdict,
        )
        for c in lost[:MOST_STRATA]
    ]


def auroc_sentence(diagnosis: Diagnosis) -> str:
    """The paired change of the answer's AUROC; empty where no baseline was compared."""
    if diagnosis.regression is None:
        return ""
    found = diagnosis.regression.auroc
    sign = "+" if found.change > 0 else ""
    return (
        f"AUROC of the answer's option likelihoods: {number(found.before, 3)}, now {number(found.after, 3)}, a change "
        f"of {sign}{number(found.change, 3)} ({interval(found.ci, 1, 3)}). It advises and decides nothing."
    )


def limit_rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What was said of each limited Feature Health Score, and its verdict."""
    drops = diagnosis.regression.health_drops if diagnosis.regression else []
    return [(limit.reason, limit.verdict) for limit in [*diagnosis.health_limits, *drops]]
