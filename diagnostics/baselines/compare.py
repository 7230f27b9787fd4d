"""Two saved baselines compared without any model, and the table that says what was found."""

from __future__ import annotations

import warnings
from pathlib import Path

from medprobe.diagnostics.baselines.baseline import BaselineError, load, match
from medprobe.diagnostics.baselines.sentences import all_changes
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.regression import Regression
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.thresholds import checked_effect, load_thresholds


def compare_files(
    before: Path, after: Path, thresholds: Path | None = None, minimum_effect: float | None = None
) -> list[tuple[Predictions, Regression]]:
    """Each run in `after` with its comparison to the one in `before`. Raises BaselineError and ThresholdError."""
    from medprobe.diagnostics.baselines.by_stratum import with_strata
    from medprobe.diagnostics.baselines.regression import record

    asked = load_thresholds(thresholds)
    given = None if minimum_effect is None else checked_effect(minimum_effect)
    runs = [saved.predictions for saved in load(after).diagnoses]
    if not runs:
        raise BaselineError(f"{after} holds no run")
    for sentence in asked.unmatched([(run.model, run.dataset, run.classes) for run in runs]):
        warnings.warn(sentence, stacklevel=2)
    compared = []
    for matched, run in zip(match(before, [(run.model, run.dataset) for run in runs]), runs, strict=True):
        margins = asked.margins(run.model, run.dataset)
        if given is not None:
            margins = margins.with_minimum_effect(given)
        drops = asked.health_limits(run.model, run.dataset).largest_drop
        found = record(matched, run, margins, drops)
        compared.append((run, with_strata(found, matched, run, asked.subgroup_margin(run.model, run.dataset))))
    return compared


def lines(run: Predictions, found: Regression) -> list[str]:
    """The table of one comparison; changes in points of signal, and of the images of a class."""
    rows = [("place", "change", "interval", "p adjusted", "verdict")]
    for name, c, _ in all_changes(found):
        low, high = (100 * bound for bound in c.ci)
        advises = name in found.exits and name not in found.deciding
        verdict = ("advises: " if advises else "") + c.verdict.replace("_", " ")
        rows.append(
            (one_line(name), f"{100 * c.change:+.1f}", f"{low:+.1f} to {high:+.1f}", f"{c.p_adjusted:.2g}", verdict)
        )
    width = max(10, *(len(row[0]) for row in rows))
    table = [f"  {a:<{width}} {b:>7} {c:>16} {d:>11}  {e}" for a, b, c, d, e in rows]
    head = f"{run.model} on {run.dataset} against {found.baseline.model}: {found.verdict.replace('_', ' ')}"
    change, (low, high) = found.auroc.change, found.auroc.ci
    advice = f"  AUROC of the answer, which decides nothing: {change:+.3f} ({low:+.3f} to {high:+.3f})"
    return [head, *table, f"  {found.reason}", advice]
