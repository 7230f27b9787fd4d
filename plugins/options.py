"""The command line of the suite, and the call it makes, checked before anything is loaded."""

from __future__ import annotations

import argparse
import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medprobe import diagnostics
from medprobe.diagnostics import reference_presets
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.planning import gpus
from medprobe.diagnostics.typed import count, error_code, seed, share
from medprobe.fixtures.datasets.catalog import list_datasets
from medprobe.fixtures.models.fingerprint import forget
from medprobe.fixtures.models.registry import list_models
from medprobe.plugins import hooks, project
from medprobe.plugins.call import Call, resolve
from medprobe.plugins.clash import clash, owner, watch

CALL = pytest.StashKey[Call]()
RUN = "medprobe_run"
CHECKS = Path(diagnostics.__file__).resolve().parent


def batch_size(text: str) -> int | None:
    """A whole number above 0, or None for `auto`."""
    return None if text == "auto" else count(text)


def part(text: str) -> tuple[int, int]:
    """Part i of n, counted from 1."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if found is None or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text} is not i/n with i from 1 to n")
    return int(found[1]), int(found[2])


OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--model",
        {
            "action": "append",
            "metavar": "M",
            "help": "model to diagnose: an alias (--list-models), a checkpoint folder, or a hub id "
            "org/name[@revision]; repeatable (default: the embedded phantom)",
        },
    ),
    ("--list-models", {"action": "store_true", "help": "print the models and data sets known by name, and exit"}),
    (
        "--dataset",
        {
            "action": "append",
            "metavar": "D",
            "help": "data set to diagnose on: busi, covid19-ct, chest-xray, phantom, or the path of a manifest; "
            "repeatable (default: phantom for a phantom, the three published sets for any other model)",
        },
    ),
    (
        "--data-root",
        {"metavar": "DIR", "help": "folder that holds the data sets as published, one folder each (or MEDPROBE_DATA)"},
    ),
    (
        "--plan",
        {
            "nargs": "?",
            "const": gpus.DEFAULT,
            "choices": tuple(gpus.GPUS),
            "metavar": "GPU",
            "help": "print what the call will cost on a GPU in tokens, bytes and hours, and exit; the GPU is one "
            f"of {', '.join(gpus.GPUS)} (default: {gpus.DEFAULT})",
        },
    ),
    (
        "--include-images",
        {
            "action": "store_true",
            "help": "show small pictures of the images that are lost on the way in the report, which then holds "
            "patients' images",
        },
    ),
    (
        "--report-dir",
        {"metavar": "DIR", "help": "folder that report.json and index.html are written to (default: reports)"},
    ),
    (
        "--store",
        {
            "metavar": "DIR",
            "help": "folder or URL (s3://, gs://, file://) that keeps features and readings once they are "
            "computed (default: the user's cache)",
        },
    ),
    (
        "--probe",
        {
            "choices": ("ridge", "mlp"),
            "default": "ridge",
            "help": "classifier that is trained on the features of each layer: ridge has a closed form, mlp is "
            "the paper's head (default: ridge)",
        },
    ),
    (
        "--reference",
        {
            "default": reference_presets.DEFAULT,
            "metavar": "NAME",
            "help": f"network that shows what the images allow: {reference_presets.DEFAULT}, "
            f"{', '.join(reference_presets.PRESETS)}, "
            f"or any network of timm (all but the first need timm; default: {reference_presets.DEFAULT})",
        },
    ),
    (
        "--controls",
        {
            "choices": ("quick", "full"),
            "default": "quick",
            "help": "extent of the controls: quick permutes labels 100 times at the exits and reads the "
            "untrained twin on a sample, full permutes 1000 times at every layer and reads the twin on "
            "all images (default: quick)",
        },
    ),
    (
        "--treat",
        {
            "action": "store_true",
            "help": "try remedies that need no training and say what each gives back; ask again under every "
            "other input that the family knows (normalising, sizes, template, tower layer), as is done "
            "without this option only where a link fails",
        },
    ),
    (
        "--ground",
        {
            "action": "store_true",
            "help": "test whether the answer depends on the lesion: hide it, hide an equal area elsewhere, and "
            "compare (needs masks)",
        },
    ),
    (
        "--seed",
        {
            "type": seed,
            "default": 0,
            "metavar": "N",
            "help": "random seed of folds, resampling and probe training (default: 0)",
        },
    ),
    (
        "--batch-size",
        {
            "type": batch_size,
            "metavar": "N",
            "help": "number of images in a forward pass; auto takes as many as fit a GPU by their tokens, and 16 "
            "on a CPU; the number is halved when memory runs out (default: auto)",
        },
    ),
    (
        "--engine",
        {
            "choices": ("local", "ray"),
            "default": "local",
            "help": "place where features are extracted and probed: this machine, or the nodes of a Ray cluster "
            "(default: local)",
        },
    ),
    (
        "--shard",
        {"type": part, "metavar": "I/N", "help": "extract part I of N into the store and judge nothing"},
    ),
    (
        "--max-images",
        {
            "type": count,
            "metavar": "N",
            "help": "size of the sample to diagnose: whole patient groups of about N images",
        },
    ),
    (
        "--max-excluded",
        {
            "type": share,
            "default": 0.01,
            "metavar": "SHARE",
            "help": "largest share of images that may be unreadable (default: 0.01)",
        },
    ),
    (
        "--dtype",
        {"choices": ("float32", "bfloat16", "float16"), "help": "precision of the weights (default: the checkpoint's)"},
    ),
    (
        "--device-map",
        {"metavar": "MAP", "help": "device map for transformers, such as auto for a model larger than one GPU"},
    ),
    ("--quantize", {"choices": ("4bit", "8bit"), "help": "load the weights quantised (needs bitsandbytes)"}),
    ("--processor", {"metavar": "P", "help": "folder or hub id whose processor replaces the checkpoint's"}),
    ("--modules", {"metavar": "FILE", "help": "TOML file that names the parts of the model by hand"}),
    (
        "--adapter",
        {
            "metavar": "DIR",
            "help": "PEFT adapter of the model, merged into the weights, or kept beside them where they are quantised",
        },
    ),
    (
        "--against",
        {
            "metavar": "M0",
            "help": "second checkpoint of the same architecture, or a PEFT adapter of the model; input and "
            "modules are swapped with it to find the cause",
        },
    ),
    (
        "--tuned-from",
        {"metavar": "M", "help": "checkpoint that this one was tuned from; comparisons show the two side by side"},
    ),
    ("--trust-remote-code", {"action": "store_true", "help": "let the checkpoint run its own code"}),
    ("--offline", {"action": "store_true", "help": "use the files of this machine alone, and ask no hub"}),
    (
        "--verify-weights",
        {"action": "store_true", "help": "hash the files of local checkpoints anew, whatever is remembered of them"},
    ),
    (
        "--thresholds",
        {
            "metavar": "FILE",
            "help": "TOML file of margins (retentions, accepted losses, limits) that override the built-in ones",
        },
    ),
    (
        "--baseline",
        {
            "metavar": "FILE",
            "help": "saved run to compare with: a file, or a folder whose newest run of the model is taken (or "
            "MEDPROBE_BASELINE)",
        },
    ),
    ("--save-baseline", {"metavar": "FILE", "help": "file or folder to save this run in for later comparison"}),
    (
        "--gate",
        {
            "choices": ("absolute", "regression", "both", "least"),
            "help": "what decides the run: the four links, the change against the baseline, or both (default: "
            "both with a baseline, absolute without one), beside what [least] of the thresholds requires, which "
            "decides alone with least",
        },
    ),
    ("--fail-inconclusive", {"action": "store_true", "help": "fail an inconclusive link instead of skipping it"}),
    (
        "--acceptance",
        {
            "metavar": "FILE",
            "help": "TOML file of criteria fixed beforehand; they decide the run, and acceptance.json and "
            "acceptance.html say of each whether it holds",
        },
    ),
    (
        "--error-code",
        {
            "type": error_code,
            "metavar": "N",
            "help": "exit code where a model could not be measured and no check failed by what it found (default: 1, "
            "as for a failure)",
        },
    ),
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    group = parser.getgroup("medprobe", "diagnosis of medical multimodal models")
    for name, settings in OPTIONS:
        try:
            group.addoption(name, dest="medprobe_" + name.strip("-").replace("-", "_"), **settings)
        except (ValueError, argparse.ArgumentError):
            raise clash(name, owner(name, pluginmanager, __name__)) from None
    watch(pluginmanager, [name for name, _ in OPTIONS])


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hooks)


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """The suite's checks and the project's are collected unless a path is typed; their conftest files always count."""
    known, folder = early_config.known_args_namespace, early_config.invocation_params.dir
    try:
        paths = [str(CHECKS), *project.checks(folder)]
    except project.CallError as error:
        raise pytest.UsageError(one_line(str(error))) from None
    if not known.file_or_dir and CHECKS.parent not in folder.parents:
        args[:0] = paths
    known.file_or_dir = [*paths, *known.file_or_dir]


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    if not config.getoption("medprobe_list_models"):
        return None
    try:
        own = project.settled(config)
    except project.CallError as error:
        raise pytest.UsageError(one_line(str(error))) from None
    print(list_models({name: alias.checkpoint for name, alias in own.models.items()}))
    print("\n" + list_datasets(own.datasets))
    return int(pytest.ExitCode.OK)


def _run(config: pytest.Config) -> str:
    """The run's own name; a worker has its controller's."""
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    return workerinput.get(RUN) or uuid.uuid4().hex


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist hands `workerinput` to its workers."""
    node.workerinput[RUN] = node.config.stash[CALL].run


def pytest_configure(config: pytest.Config) -> None:
    options = {
        name: config.getoption(f"medprobe_{name}") for name in (o.strip("-").replace("-", "_") for o, _ in OPTIONS)
    }
    try:
        config.stash[CALL] = replace(resolve(options, Path.cwd(), project.settled(config)), run=_run(config))
    except project.CallError as error:
        raise pytest.UsageError(one_line(str(error))) from None
    if config.getoption("medprobe_verify_weights") and not hasattr(config, "workerinput"):
        try:
            forget()
        except OSError as error:
            raise pytest.UsageError(
                f"--verify-weights: the hashes remembered in {error.filename} cannot be removed ({error.strerror})"
            ) from None
