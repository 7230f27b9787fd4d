"""Models by data sets, from the `report.json` of one or many runs and machines, without any model:

    medprobe report REPORT.json... --out DIR

writes `comparison.html`, the same table as `comparison.csv` and `comparison.md`, and every curve, before and after
tuning, in `curves.html`. Exit code 4: a file cannot be read or written, or holds no diagnosis.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medprobe.diagnostics.outside_text import say
from medprobe.fixtures.errors import MedprobeError
from medprobe.plugins.report.comparison import compare


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0, 4 where a file cannot be read or written, or holds no diagnosis."""
    parser = argparse.ArgumentParser(prog="medprobe report", description=(__doc__ or "").split(":\n")[0] + ".")
    parser.add_argument(
        "reports", type=Path, nargs="+", metavar="REPORT.json", help="report.json of a run, from its --report-dir"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write comparison.* and curves.html to"
    )
    given = parser.parse_args(arguments)
    try:
        written, said = compare(given.reports, given.out)
    except MedprobeError as error:
        say(error, error=True)
        return 4
    for line in said:
        say(line, error=True)
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
