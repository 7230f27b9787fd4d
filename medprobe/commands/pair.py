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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from medprobe.command import diagnose
from medprobe.diagnostics.outside_text import say
from medprobe.fixtures.models.registry import ModelError
from medprobe.plugins.call import adapter_folder, model_of
from medprobe.plugins.project import Alias, CallError, read
from medprobe.plugins.report.comparison import ComparisonError, compare

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
    except ComparisonError as error:
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
    parser.add_argument("--model", action="append", required=True, metavar="M", help="the model before tuning")
    tuned = parser.add_mutually_exclusive_group(required=True)
    tuned.add_argument("--adapter", metavar="DIR", help="what tuning made of it, as a PEFT adapter")
    tuned.add_argument("--after", metavar="CHECKPOINT", help="what tuning made of it, as a whole checkpoint")
    parser.add_argument("--report-dir", metavar="DIR", help="folder of both reports and the comparison")
    parser.add_argument("--save-baseline", metavar="FILE", help="save the run after tuning for later comparison")
    parser.add_argument("--gate", metavar="GATE", help="what is checked of the run after tuning")
    given, shared = parser.parse_known_args(arguments)
    for option in SETTLED:
        if any(word.split("=")[0] == option for word in shared):
            raise CallError(f"diagnose-pair takes no {option}")
    if len(given.model) > 1:
        raise CallError(f"diagnose-pair is of one model, and {len(given.model)} are given")
    project, model = read(Path.cwd()), given.model[0]
    if given.adapter is not None:
        other = str(adapter_folder(given.adapter))
        after = ["--model", model, "--adapter", other]
    else:
        other = given.after
        _told_apart(model, other, project.models)
        after = ["--model", other, "--tuned-from", model]
    # What the model lacks against the tuned one is what tuning gained, and the other way round what it cost.
    before = ["--model", model, "--against", other, *shared, "--gate", "absolute"]
    after += ["--against", model, *shared]
    for option, value in (("--save-baseline", given.save_baseline), ("--gate", given.gate)):
        after += [] if value is None else [option, value]
    folder = Path(given.report_dir or project.report_dir or "reports").expanduser()
    return folder, {"before": before, "after": after}


def _told_apart(before: str, after: str, own: Mapping[str, Alias]) -> None:
    """Raises CallError where the two are no checkpoints, or have one name and revision in reports."""
    found = {_name(option, spec, own) for option, spec in (("--model", before), ("--after", after))}
    if len(found) == 1:
        name = found.pop()[0]
        raise CallError(f"the model before and after tuning are both named {name!r}; rename one folder")


def _name(option: str, spec: str, own: Mapping[str, Alias]) -> tuple[str, str | None]:
    try:
        model = model_of(spec, own.get(spec))
    except ModelError as error:
        if "/" in spec:
            raise CallError(f"{option}: {error}") from None
        return spec, None  # a hook of the project may know it, and the run says where not
    return model.name, model.revision
