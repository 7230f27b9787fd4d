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
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.planning import gpus
from medprobe.diagnostics.references import presets
from medprobe.diagnostics.typed import count, seed, share
from medprobe.fixtures.models.fingerprint import forget
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
            "help": "alias (--list-models), checkpoint folder, or hub id org/name[@revision]; repeatable; "
            "default: the embedded phantom",
        },
    ),
    ("--list-models", {"action": "store_true", "help": "print the models and data sets known by name, and exit"}),
    (
        "--dataset",
        {
            "action": "append",
            "metavar": "D",
            "help": "busi, covid19-ct, chest-xray, phantom, or a path to a manifest; repeatable; default: "
            "phantom for a phantom, the three published sets for any other model",
        },
    ),
    (
        "--data-root",
        {"metavar": "DIR", "help": "folder of the data sets as published, one folder each (or MEDPROBE_DATA)"},
    ),
    (
        "--plan",
        {
            "nargs": "?",
            "const": gpus.DEFAULT,
            "choices": tuple(gpus.GPUS),
            "metavar": "GPU",
            "help": f"print what the call will cost, in tokens, bytes and hours on {', '.join(gpus.GPUS)} (default: "
            f"{gpus.DEFAULT}), and exit",
        },
    ),
    (
        "--include-images",
        {
            "action": "store_true",
            "help": "show small pictures of images that are lost on the way in the report, which then holds patients' "
            "images",
        },
    ),
    ("--report-dir", {"metavar": "DIR", "help": "where report.json and index.html are written (default: reports)"}),
    (
        "--store",
        {
            "metavar": "DIR",
            "help": "folder or URL (s3://, gs://, file://) of features and readings already computed (default: the "
            "user's cache)",
        },
    ),
    (
        "--probe",
        {
            "choices": ("ridge", "mlp"),
            "default": "ridge",
            "help": "how a locus is read: closed form, or the paper's head (default: ridge)",
        },
    ),
    (
        "--reference",
        {
            "default": presets.DEFAULT,
            "metavar": "NAME",
            "help": f"what the images allow: {presets.DEFAULT}, {', '.join(presets.PRESETS)}, or any network of timm "
            f"(all but the first need timm; default: {presets.DEFAULT})",
        },
    ),
    (
        "--controls",
        {
            "choices": ("quick", "full"),
            "default": "quick",
            "help": "quick: 100 permutations at the exits, the untrained twin on a sample; full: 1000 at every locus, "
            "the twin on all images (default: quick)",
        },
    ),
    (
        "--treat",
        {
            "action": "store_true",
            "help": "try remedies that need no training and say what each gives back, and ask again under every other "
            "input that the family knows (normalising, sizes, template, tower layer), which else is done where a link "
            "fails",
        },
    ),
    (
        "--ground",
        {
            "action": "store_true",
            "help": "hide each lesion, and an equal area elsewhere, and say how much depends on it (needs masks)",
        },
    ),
    (
        "--seed",
        {
            "type": seed,
            "default": 0,
            "metavar": "N",
            "help": "of folds, resampling and training of probes (default: 0)",
        },
    ),
    (
        "--batch-size",
        {
            "type": batch_size,
            "metavar": "N",
            "help": "images in a forward pass, or auto: as many as fit a GPU by their tokens, 16 on a CPU; halved when "
            "memory runs out (default: auto)",
        },
    ),
    (
        "--engine",
        {
            "choices": ("local", "ray"),
            "default": "local",
            "help": "where features are extracted and probed: here, or on the nodes of a Ray cluster (default: local)",
        },
    ),
    (
        "--shard",
        {"type": part, "metavar": "I/N", "help": "extract part I of N into the store and judge nothing"},
    ),
    (
        "--max-images",
        {"type": count, "metavar": "N", "help": "diagnose a sample of whole patient groups of about N images"},
    ),
    (
        "--max-excluded",
        {
            "type": share,
            "default": 0.01,
            "metavar": "SHARE",
            "help": "largest share of unreadable images (default: 0.01)",
        },
    ),
    ("--dtype", {"choices": ("float32", "bfloat16", "float16"), "help": "default: the checkpoint's"}),
    ("--device-map", {"metavar": "MAP", "help": "passed to transformers, e.g. auto for a model larger than one GPU"}),
    ("--quantize", {"choices": ("4bit", "8bit"), "help": "load the weights quantised (needs bitsandbytes)"}),
    ("--processor", {"metavar": "P", "help": "folder or hub id whose processor replaces the checkpoint's"}),
    ("--modules", {"metavar": "FILE", "help": "TOML that names the parts of the model by hand"}),
    ("--adapter", {"metavar": "DIR", "help": "PEFT adapter, merged into the weights; live beside quantised ones"}),
    (
        "--against",
        {
            "metavar": "M0",
            "help": "second checkpoint of the same architecture, or a PEFT adapter of the model; input and modules "
            "are swapped with it to find the cause",
        },
    ),
    (
        "--tuned-from",
        {"metavar": "M", "help": "the checkpoint this one was tuned from, beside which comparisons show it"},
    ),
    ("--trust-remote-code", {"action": "store_true", "help": "let the checkpoint run its own code"}),
    ("--offline", {"action": "store_true", "help": "ask no hub"}),
    (
        "--verify-weights",
        {"action": "store_true", "help": "hash the files of local checkpoints anew, whatever is remembered of them"},
    ),
    (
        "--thresholds",
        {
            "metavar": "FILE",
            "help": "TOML of retentions asked for, losses accepted, and limits, over the built-in ones",
        },
    ),
    (
        "--baseline",
        {
            "metavar": "FILE",
            "help": "compare with this saved run, or with the newest of its model in a folder (or MEDPROBE_BASELINE)",
        },
    ),
    ("--save-baseline", {"metavar": "FILE", "help": "save this run for later comparison, as a file or in a folder"}),
    (
        "--gate",
        {
            "choices": ("absolute", "regression", "both"),
            "help": "what is checked: the four links, the change against the baseline, or both "
            "(default: both with a baseline, else absolute)",
        },
    ),
    ("--fail-inconclusive", {"action": "store_true", "help": "an inconclusive link fails instead of being skipped"}),
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
    from medprobe.fixtures.datasets.catalog import list_datasets
    from medprobe.fixtures.models.registry import list_models

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
