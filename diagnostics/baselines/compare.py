"""Two saved baselines compared without any model.

    medprobe compare BEFORE.json AFTER.json

Exit code 0: nothing regressed; 1: something did (with --fail-inconclusive also where it cannot be told); 4: the files
cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medprobe.diagnostics.baselines.baseline import BaselineError, load, match
from medprobe.diagnostics.baselines.sentences import all_changes
from medprobe.diagnostics.judgement.thresholds import ThresholdError, checked_effect, load_thresholds
from medprobe.diagnostics.outside_text import one_line, say
from medprobe.diagnostics.records.regression import Regression
from medprobe.diagnostics.records.report import Predictions


def compare_files(
    before: Path, after: Path, thresholds: Path | None = None, minimum_effect: float | None = None
) -> list[tuple[Predictions, Regression]]:
    """Each run in `after` with its comparison to the one in `before`. Raises BaselineError and ThresholdError."""
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
            margins = replace(margins, minimum_effect=given)
        drops = asked.health_limits(run.model, run.dataset).largest_drop
        compared.append((run, record(matched, run, margins, drops)))
    return compared


def lines(run: Predictions, found: Regression) -> list[str]:
    """The table of one comparison; changes in points of signal, and of the images of a class."""
    rows = [("place", "change", "interval", "p adjusted", "verdict")]
    for name, c, _ in all_changes(found):
        low, high = (100 * bound for bound in c.ci)
        verdict = c.verdict.replace("_", " ")
        rows.append(
            (one_line(name), f"{100 * c.change:+.1f}", f"{low:+.1f} to {high:+.1f}", f"{c.p_adjusted:.2g}", verdict)
        )
    width = max(10, *(len(row[0]) for row in rows))
    table = [f"  {a:<{width}} {b:>7} {c:>16} {d:>11}  {e}" for a, b, c, d, e in rows]
    head = f"{run.model} on {run.dataset} against {found.baseline.model}: {found.verdict.replace('_', ' ')}"
    return [head, *table, f"  {found.reason}"]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0, 1 for a regression, 4 where the two cannot be compared."""
    parser = argparse.ArgumentParser(prog="medprobe compare", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("before", type=Path, help="a baseline of --save-baseline, or a folder of them")
    parser.add_argument("after", type=Path, help="a baseline of --save-baseline")
    parser.add_argument(
        "--minimum-effect",
        type=float,
        metavar="SHARE",
        help="accepted loss of signal: 0.02 is 2 points (default: that of the thresholds)",
    )
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help="TOML file of margins that override the built-in ones"
    )
    parser.add_argument("--fail-inconclusive", action="store_true", help="count what cannot be decided as regressed")
    given = parser.parse_args(arguments)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", UserWarning)
            compared = compare_files(given.before, given.after, given.thresholds, given.minimum_effect)
    except (BaselineError, ThresholdError) as error:
        say(error, error=True)
        return 4
    for warning in said:
        say(warning.message, error=True)
    for run, found in compared:
        say(*lines(run, found))
    failing = {"regressed", "inconclusive"} if given.fail_inconclusive else {"regressed"}
    return int(any(found.verdict in failing for _, found in compared))


if __name__ == "__main__":
    sys.exit(main())
