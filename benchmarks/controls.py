"""What the controls of the phantom's run cost beside its forward passes, in seconds of processor time on one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.controls

Runs on an empty store and writes benchmarks/results/controls.json. The run's forward passes are those of the images
and those of the sample that is asked in other words, at the price of the former. `null` over `one reading` is the price
of 100 permutations at the loci they are read at, in true readings of the same loci.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks.study import Study
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

STUDY = Study("controls")
Result = TypeVar("Result")


def main() -> None:
    STUDY.parser(__doc__).parse_args()
    import torch

    from medprobe.diagnostics.controls import control_task, floors, null, twin
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.extraction.measurement import OPTIONS
    from medprobe.diagnostics.judgement.resamples import Resamples
    from medprobe.diagnostics.probes.loci import exit_loci
    from medprobe.diagnostics.probes.ridge import read_ridge
    from medprobe.diagnostics.records.chain import CHAIN
    from medprobe.diagnostics.references.reading import kmeans_regions
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets import catalog
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.models.registry import resolve

    torch.set_num_threads(1)
    seconds: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Result]) -> Result:
        started = time.process_time()
        result = call()
        seconds[name] = round(time.process_time() - started, 2)
        print(f"{name}: {seconds[name]} s", flush=True)
        return result

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(store=Path(folder))
        dataset = open_dataset(catalog.resolve("phantom"), None)
        started = time.process_time()
        passes: list[float] = []

        def progress(what: str, *_: int) -> None:
            if what == "extracting":
                passes.append(time.process_time() - started)

        evidence = gather(ModelOnDemand(resolve("phantom"), settings), dataset, progress)
        # From the first batch to the last: without loading, and without the first batch, whose share is added.
        of_images = (passes[-1] - passes[0]) * len(passes) / (len(passes) - 1)
        again = len(evidence.sample()) / len(evidence.labels)
        seconds["forward passes of the images"] = round(of_images, 2)
        seconds["forward passes of the run"] = round(of_images * (1 + again), 2)
        # Gathering has read the exits under permuted labels beside the true ones; here they are read alone.
        alone = replace(evidence.reader.permuted, root=settings.store / "alone")
        evidence.reader.__dict__["permuted"] = alone
        timed("null of the reference", lambda: null.of_reference(evidence))
        timed("pixel floor", lambda: floors.pixels(evidence))
        timed("file-fact floor", lambda: floors.file_facts(evidence))
        timed("twin", lambda: twin.run(evidence))

        def bootstrap() -> None:
            resamples = Resamples(evidence.labels, evidence.groups, evidence.n_classes, settings.seed)
            for place in CHAIN:
                resamples.signal(evidence.predictions[place])

        timed("bootstrap", bootstrap)
        battery = round(sum(value for name, value in seconds.items() if not name.startswith("forward passes")), 2)
        timed("control task", lambda: control_task.run(evidence))
        loci = [*exit_loci(evidence.measured.loci()), OPTIONS]
        arrays = [evidence.measured.array(name) for name in loci]
        arrays.append(kmeans_regions(evidence.measured.images, settings).reshape(len(evidence.labels), -1))
        timed(
            "one reading of the same loci",
            lambda: [read_ridge(x, evidence.labels, evidence.groups, evidence.folds) for x in arrays],
        )
    ratio = round(seconds["null of the reference"] / seconds["one reading of the same loci"], 1)
    print(f"battery: {battery} s; {seconds}; 100 permutations: {ratio} readings")
    found = {
        "images": len(evidence.labels),
        "seconds": seconds,
        "battery": battery,
        "battery_over_passes_of_the_images": round(battery / seconds["forward passes of the images"], 2),
        "battery_over_passes_of_the_run": round(battery / seconds["forward passes of the run"], 2),
        "null_over_one_reading": ratio,
    }
    STUDY.publish(found)


if __name__ == "__main__":
    main()
