"""A model before and after tuning: both diagnosed, each against the other, and compared side by side.

    medprobe diagnose-pair --model M --adapter DIR [OPTION ...]

Every other option is the suite's and goes to both runs, which share its store. Reports lie in `before` and `after` of
`--report-dir`, the comparison beside them. The exit code is that of the run after tuning, the one to be gated: the run
before is not gated, and fails nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from medprobe.command import diagnose
from medprobe.diagnostics.outside_text import say
from medprobe.fixtures.errors import MedprobeError
from medprobe.plugins.before_and_after import before_and_after
from medprobe.plugins.project import CallError, read
from medprobe.plugins.report.comparison import compare

SETTLED = ("--against", "--tuned-from", "--shard", "--plan", "--list-models")
"""Options that are given to the two runs here, or under which they would diagnose nothing."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CallError(f"diagnose-pair: {message}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code of the run after tuning, 4 where the call is wrong."""
    try:
        folder, runs = calls(list(sys.argv[1:] if arguments is None else arguments))
    except CallError as error:
        say(error, error=True)
        return int(pytest.ExitCode.USAGE_ERROR)
    for call in runs.values():  # both, since the second would else be refused after the first has run
        refused = _refused(call)
        if refused:
            return refused
    code = 0
    for name, call in runs.items():
        print(f"{name} tuning:", flush=True)
        code = diagnose([*call, "--report-dir", str(folder / name)])
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return code
    try:
        written, said = compare([folder / name / "report.json" for name in runs], folder)
    except MedprobeError as error:
        say(error, error=True)
        return int(pytest.ExitCode.TESTS_FAILED)
    for line in [*said, f"before and after: {written[0]}"]:
        say(line)
    return code


def _refused(call: list[str]) -> int:
    """0, or the exit code with which pytest refuses to run this."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = diagnose([*call, "--collect-only", "-q"])
    if code:
        print(said.getvalue(), end="")
    return code


def calls(arguments: list[str]) -> tuple[Path, dict[str, list[str]]]:
    """The folder of reports, and the suite's options of the two runs by name. Raises CallError."""
    parser = _Parser(prog="medprobe diagnose-pair", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--model", action="append", required=True, metavar="M", help="model before tuning")
    tuned = parser.add_mutually_exclusive_group(required=True)
    tuned.add_argument("--adapter", metavar="DIR", help="tuned model as a PEFT adapter")
    tuned.add_argument("--after", metavar="CHECKPOINT", help="tuned model as a whole checkpoint")
    parser.add_argument("--report-dir", metavar="DIR", help="folder of both reports and the comparison")
    parser.add_argument("--save-baseline", metavar="FILE", help="save the run after tuning for later comparison")
    parser.add_argument(
        "--gate", metavar="GATE", help="what decides the run after tuning: absolute, regression, both or least"
    )
    parser.add_argument("--acceptance", metavar="FILE", help="criteria that the run after tuning is held against")
    given, shared = parser.parse_known_args(arguments)
    for option in SETTLED:
        if any(word.split("=")[0] == option for word in shared):
            raise CallError(f"diagnose-pair takes no {option}")
    if len(given.model) > 1:
        raise CallError(f"diagnose-pair is of one model, and {len(given.model)} are given")
    more = []
    after = {"--save-baseline": given.save_baseline, "--gate": given.gate, "--acceptance": given.acceptance}
    for option, value in after.items():
        more += [] if value is None else [option, value]
    project = read(Path.cwd())
    runs = before_and_after(given.model[0], given.adapter, given.after, project.models)
    runs["before"] += [*shared, "--gate", "absolute"]
    runs["after"] += [*shared, *more]
    return Path(given.report_dir or project.report_dir or "reports").expanduser(), runs
