"""Every verdict again, from `report.json` and the stored predictions alone.

    medprobe rejudge REPORT_DIR

Says of each diagnosis that it is repeated or what differs; exit code 1 where anything does, 4 where there is no report.
The comparison with a baseline is repeated by `medprobe compare`, since it needs a second file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medprobe.diagnostics.outside_text import say
from medprobe.diagnostics.rejudge import repeated
from medprobe.fixtures.errors import MedprobeError


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0, 1 where anything differs, 4 without a report."""
    parser = argparse.ArgumentParser(prog="medprobe rejudge", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("report_dir", type=Path, metavar="REPORT_DIR", help="folder of a run, with report.json")
    try:
        equal, said = repeated(parser.parse_args(arguments).report_dir)
    except MedprobeError as error:
        say(error, error=True)
        return 4
    say(*said)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
