"""Changes since the baseline, and limits of Feature Health Scores."""

from __future__ import annotations

from medprobe.diagnostics.baselines.sentences import all_changes, needed_text
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import interval, points


def change_rows(diagnosis: Diagnosis) -> list[tuple[str, ...]]:
    """Place or class, change in points, its interval, the margin asked, the loss accepted, images needed, adjusted p,
    verdict.
    """
    found = diagnosis.regression
    if found is None:
        return []
    advising = {stage for stage in found.exits if stage not in found.deciding}
    return [
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


def limit_rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What was said of each limited Feature Health Score, and its verdict."""
    drops = diagnosis.regression.health_drops if diagnosis.regression else []
    return [(limit.reason, limit.verdict) for limit in [*diagnosis.health_limits, *drops]]
