"""The paper's second condition: an adapter tuned on one part of the patients, to be diagnosed on the other.

    medprobe tune --model M --dataset D --data-root DATA --out DIR
    accelerate launch -m medprobe tune --model M --dataset D --data-root DATA --out DIR

The same call goes on where it was stopped. Exit code 4 where the call is wrong, 1 where the model cannot be tuned.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from medprobe.diagnostics.outside_text import say
from medprobe.diagnostics.tuning.plan import PARTS, TuneError, TuningPlan
from medprobe.diagnostics.typed import above_zero, count, seed, share
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.models.refusals import LoadError
from medprobe.fixtures.models.registry import ModelError
from medprobe.plugins.project import CallError
from medprobe.plugins.tuning import resolve

STOPPED = 130
"""The exit code of a process that Ctrl-C ended."""


OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--model",
        {
            "required": True,
            "metavar": "M",
            "help": "model to tune: an alias, checkpoint folder, or hub id org/name[@revision]",
        },
    ),
    (
        "--dataset",
        {"required": True, "metavar": "D", "help": "data set to tune on: a built-in name, or the path of a manifest"},
    ),
    ("--data-root", {"metavar": "DIR", "help": "folder that holds the data sets as published (or MEDPROBE_DATA)"}),
    ("--out", {"required": True, "metavar": "DIR", "help": "folder of the adapter and of all that belongs to it"}),
    (
        "--parts",
        {"choices": PARTS, "default": TuningPlan.parts, "help": "parts of the model to tune (default: %(default)s)"},
    ),
    (
        "--held-out",
        {
            "type": share,
            "default": TuningPlan.held_out,
            "metavar": "SHARE",
            "help": "share of the patients to hold out (default: %(default)s)",
        },
    ),
    (
        "--epochs",
        {"type": above_zero, "default": TuningPlan.epochs, "help": "passes over the images (default: %(default)s)"},
    ),
    (
        "--learning-rate",
        {
            "type": above_zero,
            "default": TuningPlan.rate,
            "metavar": "RATE",
            "help": "highest learning rate (default: %(default)s)",
        },
    ),
    ("--rank", {"type": count, "default": TuningPlan.rank, "help": "rank of the low-rank maps (default: %(default)s)"}),
    (
        "--batch-size",
        {
            "type": count,
            "default": TuningPlan.batch,
            "help": "images in a step, on all GPUs together (default: %(default)s)",
        },
    ),
    (
        "--micro-batch",
        {"type": count, "default": TuningPlan.micro_batch, "help": "images at once on one GPU (default: %(default)s)"},
    ),
    ("--max-images", {"type": count, "help": "largest number of images to tune on; the images held out stay the same"}),
    (
        "--max-excluded",
        {
            "type": share,
            "default": TuningPlan.max_excluded,
            "metavar": "SHARE",
            "help": "largest share of images that may be unreadable",
        },
    ),
    (
        "--seed",
        {
            "type": seed,
            "default": TuningPlan.seed,
            "help": "random seed of the sample, the order of images, new weights and dropout (default: %(default)s)",
        },
    ),
    ("--dtype", {"help": "precision of the frozen weights: bfloat16 (default on a GPU) or float32 (default on a CPU)"}),
    (
        "--gradient-checkpointing",
        {
            "action": argparse.BooleanOptionalAction,
            "help": "compute layers again on the way back instead of keeping them (default: on a GPU)",
        },
    ),
    (
        "--save-every",
        {
            "type": count,
            "default": TuningPlan.save_every,
            "metavar": "STEPS",
            "help": "steps between two saved states (default: %(default)s)",
        },
    ),
    ("--processor", {"metavar": "P", "help": "folder or hub id whose processor replaces the checkpoint's"}),
    ("--modules", {"metavar": "FILE", "help": "TOML file that names the parts of the model by hand"}),
    ("--trust-remote-code", {"action": "store_true", "help": "let the checkpoint run its own code"}),
    ("--offline", {"action": "store_true", "help": "use the files of this machine alone, and ask no hub"}),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CallError(f"{message}; see medprobe tune --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    try:
        call = resolve(vars(_parser().parse_args(arguments)), Path.cwd())
    except (CallError, ModelError, DataError) as error:
        return _refused(error, 4)
    warnings.filterwarnings("ignore", category=FutureWarning)  # libraries among themselves
    from medprobe.diagnostics.tuning.run import Refused, tune
    from medprobe.fixtures.models.anatomy import AnatomyError

    try:
        tuned = tune(call.model, call.manifest, call.out, call.plan, call.data_root, call.load, _say)
    except (Refused, DataError) as error:
        return _refused(error, 4)
    except (TuneError, LoadError, AnatomyError) as error:
        return _refused(error, 1)
    except OSError as error:
        place = error.filename or call.out
        return _refused(f"{place} cannot be written or read ({error.strerror}); the same call goes on from there", 1)
    except KeyboardInterrupt:
        return _refused("stopped; the same call goes on from the last state that was saved", STOPPED)
    if os.environ.get("RANK", "0") == "0":
        root = [] if call.data_root is None else ["--data-root", call.data_root]
        after = ["medprobe", "--model", call.model.spec, "--adapter", tuned.adapter, "--dataset", tuned.held_out, *root]
        print(shlex.join(map(str, after)))
    return 0


def _parser() -> argparse.ArgumentParser:
    first = (__doc__ or "").partition("\n")[0]
    parser = _Parser(prog="medprobe tune", description=first, allow_abbrev=False)
    for name, settings in OPTIONS:
        parser.add_argument(name, **settings)
    return parser


def _say(line: str) -> None:
    say(line, error=True)


def _refused(error: object, code: int) -> int:
    say(error, error=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
