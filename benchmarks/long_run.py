"""Many diagnoses in one process: what grows, and what is left open.

    python -m benchmarks.long_run --diagnoses 200

Every second diagnosis is made in a fresh store, loading the model and reading every image; the others read the store.
After each: resident memory, open files, threads, models and hooks that are still alive, and files in the folder for
temporary ones. Writes benchmarks/results/long_run.json. Exit code 1: one of them has grown beyond `BOUNDS`.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.study import Study, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

MODELS = ("phantom", "phantom-connector")
WARM_UP = 0.25
"""Share of the diagnoses after which memory is looked at: allocators and caches have what they keep."""

BOUNDS = {"mib_per_diagnosis": 0.1, "files": 0, "threads": 0, "models": 0, "hooks": 0, "temporary": 0}
"""Largest growth from the end of the warm-up to the last diagnosis; of memory the slope of a line through them."""


def alive() -> dict[str, int]:
    """What is held now, other than memory."""
    from torch import nn

    gc.collect()
    modules = [thing for thing in gc.get_objects() if issubclass(type(thing), nn.Module)]
    process = psutil.Process()
    return {
        "files": process.num_fds(),
        "threads": process.num_threads(),
        "models": len(modules),
        "hooks": sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in modules),
        "temporary": sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
    }


def run(n_diagnoses: int, folder: Path) -> list[dict[str, Any]]:
    """What is held after each diagnosis. `folder` gets the images, the stores and the temporary files."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.images import draw_dataset

    manifest = draw_dataset(folder / "images", 12, 2, seed=1)
    (folder / "temporary").mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder / "temporary")
    found = []
    try:
        for i in range(n_diagnoses):
            store = folder / ("kept" if i // len(MODELS) % 2 else f"fresh-{i}")
            start = time.perf_counter()
            diagnosis, _ = diagnose(
                ModelOnDemand(resolve(MODELS[i % len(MODELS)]), Settings(store)), "phantom", lambda: manifest, quiet
            )
            if diagnosis.error is not None:
                raise RuntimeError(diagnosis.error)
            seconds = time.perf_counter() - start
            held = alive()
            rss = psutil.Process().memory_info().rss / 2**20
            found.append({"mib": round(rss, 1), "seconds": round(seconds, 2), **held})
    finally:
        tempfile.tempdir = before
    return found


def growth(held: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of everything in `BOUNDS`, after the warm-up."""
    warm = held[int(WARM_UP * len(held)) :]
    slope = np.polyfit(np.arange(len(warm)), [h["mib"] for h in warm], 1)[0]
    counts = {name: warm[-1][name] - warm[0][name] for name in BOUNDS if name != "mib_per_diagnosis"}
    return {"mib_per_diagnosis": round(float(slope), 4), **counts}


STUDY = Study("long_run")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = STUDY.parser(__doc__, "--out")
    parser.add_argument("--diagnoses", type=int, default=200, metavar="N")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="medprobe-long-run-") as folder:
        held = run(given.diagnoses, Path(folder))
    grown = growth(held)
    kept = [{"diagnosis": i + 1, **h} for i, h in enumerate(held) if (i + 1) % 10 == 0 or i < 5]
    print(json.dumps(grown))
    STUDY.publish({"diagnoses": len(held), "bounds": BOUNDS, "growth": grown, "held": kept}, given.out)
    return int(any(grown[name] > bound for name, bound in BOUNDS.items()))


if __name__ == "__main__":
    sys.exit(main())
