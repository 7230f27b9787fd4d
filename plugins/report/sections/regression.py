"""Changes since the baseline, and limits of Feature Health Scores."""

from __future__ import annotations

from medprobe.diagnostics.baselines.sentences import all_changes
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import interval, points

MOST_STRATA = 6


def change_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str, str, str]]:
    """Place, class or regressed stratum, change in points, its interval, the loss accepted, adjusted p, verdict."""
    if diagnosis.regression is None:
        return []
    rows = [
        (name, points(c.change), interval(c.ci), points(least), f"{c.p_adjusted:.2g}", c.verdict.replace("_", " "))
        for name, c, least in all_changes(diagnosis.regression)
    ]
    lost = [c for c in diagnosis.regression.strata if c.verdict == "regressed"]
    return rows + [
        (
            f"{c.measure}{f' for {c.of}' if c.of else ''} in {c.attribute} {c.value}",
            *(points(c.change), interval(c.ci), points(c.margin), f"{c.p_adjusted:.2g}", c.verdict),
        )
        for c in lost[:MOST_STRATA]
    ]


def limit_rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What was said of each limited Feature Health Score, and its verdict."""
    drops = diagnosis.regression.health_drops if diagnosis.regression else []
    return [(limit.reason, limit.verdict) for limit in [*diagnosis.health_limits, *drops]]
