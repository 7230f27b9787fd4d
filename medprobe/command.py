"""`medprobe`: pytest on the suite from any folder, and what needs no pytest as subcommands."""

from __future__ import annotations

import importlib.metadata
import os
import pkgutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from medprobe.home import HOME, SETTINGS

COMMANDS: dict[str, tuple[str, str]] = {
    "diagnose-pair": (
        "medprobe.commands.pair:main",
        "diagnose a model before and after tuning: --model M --adapter DIR",
    ),
    "compare": (
        "medprobe.commands.compare:main",
        "compare two saved baselines, place by place: BEFORE.json AFTER.json",
    ),
    "report": (
        "medprobe.commands.report:main",
        "put many reports into one table: REPORT.json... --out DIR",
    ),
    "checklist": (
        "medprobe.commands.checklist:main",
        "say which items of reporting guidelines a run fills: REPORT.json --out DIR",
    ),
    "rejudge": ("medprobe.commands.rejudge:main", "repeat every verdict from the stored predictions: REPORT_DIR"),
    "cache": ("medprobe.commands.cache:main", "look after the store: list, verify, or prune --older-than DAYS"),
    "find": ("medprobe.commands.find:main", "say which files the images of a report are: DATASET ID..."),
    "tune": (
        "medprobe.commands.tune:main",
        "tune an adapter on a part of the patients: --model M --dataset D --out DIR",
    ),
    "list": ("medprobe.command:list_names", "print the models and data sets known by name, the project's included"),
}
"""Subcommand to the function that takes its arguments and returns an exit code, and what it does."""

USAGE = """usage: medprobe [--model M ...] [--dataset D ...] [OPTION ...]
       medprobe COMMAND ...

Says where, between the pixels and the answer, a medical multimodal LLM loses the diagnosis signal.
Reads medprobe.toml of this folder, and writes to ./reports.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        return int(pkgutil.resolve_name(COMMANDS[given[0]][0])(given[1:]))
    if "--help" in given or "-h" in given:
        print(usage())
        return 0
    if "--version" in given:
        print(f"medprobe {importlib.metadata.version('medprobe')}")
        return 0
    return diagnose(given)


def diagnose(arguments: Sequence[str]) -> int:
    """pytest on the suite with these options; paths in them are relative to the working folder.

    In this process, so that signals and the exit code are pytest's own.
    """
    # The suite may lie where nothing is to be written: no bytecode beside it, pytest's cache in the working folder.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    cache = Path.cwd() / ".pytest_cache"
    pinned = ["-c", str(SETTINGS), "--rootdir", str(HOME), "-o", f"cache_dir={cache}"]
    # A subcommand that runs pytest has imported the suite, which an editable install lists as modules to be rewritten.
    pinned += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*pinned, *arguments]))


def list_names(arguments: Sequence[str]) -> int:
    return diagnose(["--list-models", *arguments])


def usage() -> str:
    """What `--help` prints: the suite's options and the subcommands."""
    from medprobe.plugins.options import OPTIONS

    return "\n".join(
        [
            USAGE,
            "commands (each has --help):",
            *(_line(name, about) for name, (_, about) in COMMANDS.items()),
            "",
            "options (those of pytest work too, see pytest --help):",
            *(_line(name, settings["help"]) for name, settings in OPTIONS),
            _line("--version", "print the version"),
        ]
    )


def _line(name: str, about: str) -> str:
    return textwrap.fill(about, 80, initial_indent=f"  {name:<22}", subsequent_indent=" " * 24)
