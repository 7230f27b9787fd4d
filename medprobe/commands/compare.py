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
from pathlib import Path

from medprobe.diagnostics.baselines.baseline import BaselineError
from medprobe.diagnostics.baselines.compare import compare_files, lines
from medprobe.diagnostics.outside_text import say
from medprobe.diagnostics.thresholds import ThresholdError


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
