"""Which items of STARD-AI, CLAIM and TRIPOD+AI a run fills, and which the team writes, without any model:

    medprobe checklist REPORT.json --out DIR

writes `checklist.html` and the same table as `checklist.csv`. Exit code 4: the report cannot be read, or nothing can be
written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from medprobe.diagnostics.outside_text import say
from medprobe.fixtures.errors import MedprobeError
from medprobe.plugins.report.checklist import write


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0, 4 where the report cannot be read or nothing can be written."""
    parser = argparse.ArgumentParser(prog="medprobe checklist", description=(__doc__ or "").split(":\n")[0] + ".")
    parser.add_argument("report", type=Path, metavar="REPORT.json", help="report.json of a run, from its --report-dir")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write checklist.* to")
    given = parser.parse_args(arguments)
    try:
        written = write(given.report, given.out)
    except MedprobeError as error:
        say(error, error=True)
        return 4
    except OSError as error:
        say(f"the checklist cannot be written to {given.out}: {error.strerror}", error=True)
        return 4
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
