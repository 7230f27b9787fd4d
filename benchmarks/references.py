"""The default reference beside a small network trained from scratch, on drawn and on real images, on the same folds.

    python -m benchmarks.references --data-root DATA --work DIR

Resumes at the fold that is missing in DIR. Writes benchmarks/results/references.json and the table of
docs/guides/references.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.study import GUIDES, Study, filled, quiet

DATASETS = ("phantom", "busi")
NETWORK, EPOCHS, SIDE = "test_resnet", 15, 64
"""A residual network of 0.4 million parameters at the size of the default reference's pictures: minutes on one core."""
N_IMAGES, SEED, N_FOLDS = 400, 0, 5


def main() -> None:
    import numpy as np

    from medprobe.diagnostics import store
    from medprobe.diagnostics.judgement.resamples import Resamples, interval
    from medprobe.diagnostics.probes import folds
    from medprobe.diagnostics.references import networks, training
    from medprobe.diagnostics.references.reading import ReferenceRows, read_reference
    from medprobe.diagnostics.scores import signal_of
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets import catalog
    from medprobe.fixtures.datasets.dataset import open_dataset

    given = STUDY.parser(__doc__, "--data-root", "--work").parse_args()
    recipe = training.Recipe(epochs=EPOCHS, side=SIDE)
    runs = []
    for name in DATASETS:
        dataset = open_dataset(catalog.resolve(name), given.data_root, N_IMAGES, SEED)
        labels = np.array([image.label for image in dataset.images])
        groups = np.array([image.group for image in dataset.images])
        fold = folds.assign(labels, groups, N_FOLDS, SEED)
        key = {"data": dataset.fingerprint, "seed": SEED, "n_folds": N_FOLDS, "probe": "ridge"}
        rows = ReferenceRows(dataset.images, labels, groups, fold, key)
        resamples = Resamples(labels, groups, len(dataset.answers), SEED)

        def kept(part: str, compute: Any, key: dict[str, Any] = key) -> dict[str, Any]:
            def timed() -> dict[str, Any]:
                started = time.perf_counter()
                return {**compute(), "seconds": np.array([time.perf_counter() - started])}

            return store.remembered(given.work, store.key(study=part, recipe=asdict(recipe), **key), timed)

        def by_default(rows: ReferenceRows = rows) -> dict[str, Any]:
            reading, _ = read_reference(rows, Settings(store=given.work), quiet)
            return {"log_probabilities": reading.log_probabilities}

        default = kept("default", by_default)
        seconds: list[float] = []

        def remember(part: int, compute: Any, kept: Any = kept, seconds: list[float] = seconds) -> dict[str, Any]:
            found: dict[str, Any] = kept(f"{NETWORK}, fold {part}", compute)
            seconds.append(float(found["seconds"][0]))
            return found

        def pixels(sight: networks.Sight, images: Any = dataset.images) -> Any:
            return np.stack(list(networks.pixels(images, sight)))

        trained = training.read_from_scratch(NETWORK, pixels, labels, fold, SEED, recipe, remember, quiet)
        for reference, predictions, took in (
            ("kmeans-filters", default["log_probabilities"].argmax(axis=1), float(default["seconds"][0])),
            (f"{NETWORK}, from scratch", trained.predictions, sum(seconds)),
        ):
            signal = signal_of(labels, predictions, len(dataset.answers))
            low, high = interval(resamples.signal(predictions))
            run = {"dataset": name, "n_images": len(labels), "n_groups": len(np.unique(groups)), "reference": reference}
            runs.append(
                {**run, "signal": round(signal, 3), "ci": [round(low, 3), round(high, 3)], "seconds": round(took, 1)}
            )
            print(json.dumps(runs[-1]), flush=True)
    STUDY.publish({"recipe": asdict(recipe), "seed": SEED, "n_folds": N_FOLDS, "runs": runs})


def _table(runs: list[dict[str, Any]]) -> str:
    head = ("data set", "images", "patients", "reference", "signal", "95 percent", "seconds")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for run in runs:
        low, high = (100 * bound for bound in run["ci"])
        lines.append(
            f"| {run['dataset']} | {run['n_images']} | {run['n_groups']} | {run['reference']} | "
            f"{100 * run['signal']:.1f} | {low:.1f} to {high:.1f} | {run['seconds']:.0f} |"
        )
    return "\n".join(lines)


def page(found: Mapping[str, Any]) -> str:
    """docs/guides/references.md with its table put anew."""
    return filled(GUIDES / "references.md", **{"benchmarks.references": _table(found["runs"])})


STUDY = Study("references", page, GUIDES / "references.md")


if __name__ == "__main__":
    main()
