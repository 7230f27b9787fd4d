"""The options of the command line given by name, as in `diagnose(model, dataset, max_images=60)`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from medprobe.plugins.options import OPTIONS
from medprobe.plugins.project import CallError

OF_A_RUN = (
    *("--list-models", "--plan", "--shard", "--verify-weights", "--fail-inconclusive"),
    *("--report-dir", "--include-images", "--save-baseline"),
)
"""Options of what pytest runs and writes, on which no diagnosis depends."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CallError(message)


def destination(option: str) -> str:
    return option.strip("-").replace("-", "_")


def parse(model: str | Path, dataset: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the command line by its name with underscores, as `medprobe.plugins.call.resolve` takes them. An
    option that is None is not given. Raises CallError, as the command line refuses a value.
    """
    parser = _Parser(allow_abbrev=False, add_help=False)
    for option, settings in OPTIONS:
        parser.add_argument(option, **settings)
    named = {destination(o): (o, s) for o, s in OPTIONS if o not in ("--model", "--dataset", *OF_A_RUN)}
    unknown = [name for name in given if name not in named]
    if unknown:
        raise CallError(f"diagnose() has no option {unknown[0]!r}; it has {', '.join(named)}")
    words = [f"--model={model}", f"--dataset={dataset}"]
    for name, value in given.items():
        option, settings = named[name]
        if settings.get("action") == "store_true" and isinstance(value, bool):
            words += [option] * value
        elif value is not None:
            words.append(f"{option}={value}")
    return vars(parser.parse_args(words))
