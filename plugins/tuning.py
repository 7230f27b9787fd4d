"""What `medprobe tune` is asked for, resolved to plain data or refused in one sentence. Imports no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medprobe.diagnostics.tuning.plan import Plan
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import check_dataset
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelSpec
from medprobe.plugins.call import data_folder, load_options, model_of
from medprobe.plugins.project import CallError, read


@dataclass(frozen=True)
class TuningCall:
    """What a command line asks for, found to be there."""

    model: ModelSpec
    manifest: Path
    data_root: Path | None
    out: Path
    plan: Plan
    load: LoadOptions


def resolve(options: Mapping[str, Any], folder: Path) -> TuningCall:
    """The call of `options` (named as on the command line, with underscores) in the project of a folder.

    Raises CallError, ModelError and DataError.
    """
    missing = [name for name in ("peft", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise CallError(f"tuning needs the package {missing[0]}: pip install '.[tune]'")
    config = read(folder)
    root = data_folder(options["data_root"], folder, config)
    data_root = None if root is None else root.absolute()
    name = options["model"]
    alias = config.models.get(name)
    model = model_of(name, alias)
    if model.fault is not None:
        raise CallError(f"{name} is a phantom with a planted fault, which its adapter would meet twice")
    manifest = catalog.resolve(config.datasets.get(options["dataset"], options["dataset"]))
    check_dataset(manifest, data_root)
    out = Path(options["out"]).expanduser().absolute()
    if out.exists() and not out.is_dir():
        raise CallError(f"--out {out} is a file; name a folder")
    load = load_options(options, alias)
    if load.adapter is not None:
        raise CallError(f"{name} is a model with an adapter, and an adapter is not tuned upon another; merge it")
    if load.quantize is not None:
        raise CallError(f"{name} is a model with quantised weights, which are not tuned")
    plan = Plan(
        parts=options["parts"],
        held_out=options["held_out"],
        epochs=options["epochs"],
        batch=options["batch_size"],
        micro_batch=options["micro_batch"],
        rate=options["learning_rate"],
        rank=options["rank"],
        seed=options["seed"],
        max_images=options["max_images"],
        max_excluded=options["max_excluded"],
        dtype=load.dtype,
        checkpointing=options["gradient_checkpointing"],
        save_every=options["save_every"],
    )
    if plan.dtype not in (None, "float32", "bfloat16"):
        raise CallError(f"--dtype {plan.dtype} cannot be tuned in; it is float32 or bfloat16")
    return TuningCall(model, manifest, data_root, out, plan, load)
