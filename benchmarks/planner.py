"""The plan against runs: tokens, bytes stored and peak memory of a checkpoint of each family.

    python -m benchmarks.planner --work DIR
    python -m benchmarks.planner --page

Checkpoints with random weights are built in DIR, planned, and then read, each in a process of its own. Nothing in the
plan is fitted to a run. Writes benchmarks/results/planner.json and, from it and the plan of the paper's models,
docs/guides/plan.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.study import GUIDES, ROOT, Study, quiet

FAMILIES = (
    "llava",
    "llava_clip",
    "gemma3",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3_vl",
    "video_llama_3",
    "llava_next",
    "internvl",
)
"""Those measured for the page; the tests hold tokens, parameters and bytes stored of the others equal too."""
SIZES: dict[str, Any] = {
    "image_size": 448,
    "patch_size": 14,
    "vision_layers": 4,
    "vision_width": 512,
    "vision_heads": 8,
    "text_layers": 6,
    "text_width": 768,
    "text_heads": 12,
}
DEVELOPED = ("llava", "qwen2_5_vl", "gemma3", "internvl")
"""Families whose live tensors were looked at while the sums of memory were written; the others were only measured."""
TILED = ("llava_next", "internvl")
"""Of a quarter of the pixels a tile, since a picture becomes several."""
BATCH = 4
PICTURES = ((448, 448),) * BATCH + ((448, 320), (200, 300), (97, 431), (640, 211))
"""Width and height; the first batch holds the largest, which the plan takes every batch to hold."""
PLANNED = ("image_tokens", "prompt_tokens", "bytes_stored", "weights", "working")


def pictures(folder: Path, sizes: tuple[tuple[int, int], ...] = PICTURES) -> Path:
    """A data set of noise, a picture of each size; returns its manifest."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i, (width, height) in enumerate(sizes):
        path = folder / "ab"[i % 2] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    classes = "".join(
        f'[[classes]]\nanswer = "{answer}"\nimages = ["{kind}/*.png"]\n'
        for kind, answer in (("a", "normal"), ("b", "pneumonia"))
    )
    manifest = folder / "manifest.toml"
    prompt = "Does this image show pneumonia? Answer normal or pneumonia."
    manifest.write_text(f'name = "noise"\nmodality = "noise"\nprompt = "{prompt}"\n{classes}', "utf-8")
    return manifest


def planned(checkpoint: Path, manifest: Path) -> dict[str, int]:
    """What the plan says of reading the images, without the controls that ask again."""
    from dataclasses import asdict

    from medprobe.diagnostics.planning.checkpoint import describe
    from medprobe.diagnostics.planning.cost import cost, stored
    from medprobe.diagnostics.planning.gpus import DEFAULT, GPUS
    from medprobe.diagnostics.planning.pictures import count
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.models.registry import resolve

    spec, found = resolve(str(checkpoint)), count(manifest, None, None, 0)
    described = describe(spec, None, None)
    row = asdict(cost(spec, described, found, Settings(Path(), batch_size=BATCH), GPUS[DEFAULT]))
    row["bytes_stored"] = stored(described.shape, len(found.answers), found.n)
    return {key: row[key] for key in PLANNED}


def measured(checkpoint: Path, manifest: Path, store: Path) -> dict[str, int]:
    """The same of a run in this process. Peaks are of the resident set."""
    from dataclasses import replace

    from medprobe.diagnostics.extraction.measurement import measure
    from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.datasets.images import open_image
    from medprobe.fixtures.models.chat import inputs
    from medprobe.fixtures.models.registry import resolve

    settings = Settings(store, batch_size=BATCH)
    dataset = open_dataset(manifest, None)
    # Libraries and their buffers are no part of the model: a tiny one of its family is read first.
    tiny = resolve(str(checkpoint.with_name(f"{checkpoint.name}-tiny")))
    measure(ModelOnDemand(tiny, settings), dataset, quiet)
    spec = resolve(str(checkpoint))
    before = resident("VmRSS")
    on_demand = ModelOnDemand(spec, settings)
    loaded = on_demand.load()
    # Weights are mapped files: a picture must pass before they are all in memory.
    measure(on_demand, replace(dataset, images=dataset.images[-1:]), quiet)
    ready = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    found = measure(on_demand, dataset, quiet)
    peak = resident("VmHWM")
    turns = [inputs(loaded, [open_image(image)], dataset.prompt) for image in dataset.images]
    mark = loaded.anatomy.image_token_id
    return {
        "image_tokens": sum(int((turn["input_ids"] == mark).sum()) for turn in turns),
        "prompt_tokens": sum(int(turn["attention_mask"].sum()) for turn in turns),
        "bytes_stored": sum(path.stat().st_size for path in found.folder.path.glob("*.safetensors")),
        "weights": ready - before,
        "working": peak - ready,
    }


def resident(field: str) -> int:
    """Bytes of this process's resident set: now (VmRSS) or at most since the last reset (VmHWM)."""
    line = next(x for x in Path("/proc/self/status").read_text("ascii").splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


def row(family: str, work: Path) -> dict[str, Any]:
    """Plan and run of one family, and the plan's error as a share of the run."""
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    checkpoint = work / family
    if not (checkpoint / "model.safetensors").exists():
        build_family(family, checkpoint, **SIZES | ({"image_size": 224} if family in TILED else {}))
        build_family(family, work / f"{family}-tiny")
    manifest = pictures(work / "pictures")
    plan = planned(checkpoint, manifest)
    # Large blocks go back to the system when they are freed, so that the resident set is what lives.
    child = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-m", "benchmarks.planner", "--work", str(work), "--child", family]
    done = subprocess.run(command, env=child, cwd=ROOT, capture_output=True, text=True, check=True)
    run = json.loads(done.stdout.splitlines()[-1])
    plan["memory"], run["memory"] = (side["weights"] + side["working"] for side in (plan, run))
    error = {key: round(plan[key] / run[key] - 1, 4) for key in plan}
    return {"family": family, "developed_on": family in DEVELOPED, "planned": plan, "measured": run, "error": error}


TEXT = """\
# What a call will cost

`--plan` prints the cost of a call and exits 0. No weights are read and nothing runs.

    pytest --plan h100 --model medgemma --dataset busi

`--plan` takes the name of a GPU: {gpus}. Without a name it is {default}. With `--report-dir` or `-v` all numbers are
written to `plan.json` too, in bytes, operations and hours. The plan takes `--batch-size`, `--dtype`, `--quantize`,
`--max-images` and `--controls full` into account. It leaves out `--against`, `--device-map` and what the store already
holds.

* Sizes come from the model that transformers builds, without numbers, of the checkpoint's `config.json`. For registered
  models that are not in the hub's cache they come from `fixtures/models/size/architectures.toml`.
* Pictures are counted in the data set's files. A published set whose files are missing is planned as its publication
  describes it, with every picture of the mean size. The plan says so.
* Tokens are counted with the checkpoint's processor, where it is on this machine. Otherwise the tokens of the text are
  estimated (`~`).
* Bytes stored count features and answers, also of reworded questions and blank pictures, but no readings.
* Memory is what the largest batch that fits needs, with each picture as large as the largest, and 1 GB for the GPU's
  runtime.
* Hours are estimates that were checked on no GPU: data-sheet peaks times an assumed share, with answers at their
  longest.
* What a comparison with a baseline can clear on each data set, and how many images would decide it, stands below the
  costs ([gate.md](gate.md)). Patients are counted in the files, or as known of a published set. `--thresholds` counts.
* A model type that transformers cannot build, or whose image tokens are not known, is named. The plan goes on with the
  others.

Too little memory ends a model before its weights are read, and the other models go on. The model's error in the report
names what is needed, what is free and what would help. Needed are the weights and what one picture takes beside them.
Nothing is checked with `--device-map`, or for an architecture that the plan does not know. On the CPU the system's free
memory counts, not a container's limit.

## Checked against runs

The table gives the error of the plan as a share of what a run took. Checkpoints of nine families had random weights,
{parameters} million parameters or more, and ran in float32 on the CPU in batches of {batch}. No number in the plan is
fitted. While its sums were written, the live tensors of the families marked * were looked at. The others were only
measured. The working memory is the growth of the resident set beside the weights. Nothing was measured on a GPU or in
half precision. The table is made by

    python -m benchmarks.planner --work DIR

| family | image tokens | prompt tokens | bytes stored | weights | working memory | memory in all |
|---|---|---|---|---|---|---|
{rows}

## The paper's models on its data sets

This plan was made without the files of the data sets and without a tokenizer. The command, and what it prints:

    pytest --plan h100 \\
{models}

```text
{output}
```
"""


def page(given: Mapping[str, Any]) -> str:
    """docs/guides/plan.md."""
    rows = given["rows"]
    from medprobe.diagnostics.planning.gpus import DEFAULT, GPUS
    from medprobe.fixtures.models.registry import registry

    models = [part for alias, entry in registry().items() if entry.paper for part in ("--model", alias)]
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("MEDPROBE_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "--plan", "h100", *models]
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, check=True)
    options = [" ".join(models[i : i + 6]) for i in range(0, len(models), 6)]
    lines = [
        f"| {found['family']}{' *' if found['developed_on'] else ''} | "
        + " | ".join(
            "exact" if found["planned"][key] == found["measured"][key] else f"{100 * found['error'][key]:+.1f} %"
            for key in (*PLANNED, "memory")
        )
        + " |"
        for found in rows
    ]
    return TEXT.format(
        gpus=", ".join(GPUS),
        default=DEFAULT,
        parameters=round(min(found["planned"]["weights"] for found in rows) / 4e6),
        batch=BATCH,
        rows="\n".join(lines),
        models=" \\\n".join(f"      {line}" for line in options),
        output=done.stdout.rstrip(),
    )


STUDY = Study("planner", page, GUIDES / "plan.md")


def main() -> None:
    parser = STUDY.parser(__doc__, "--work")
    parser.add_argument("--family", action="append", choices=FAMILIES)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.work = given.work.resolve()
    if given.child:
        import shutil

        store = given.work / f"{given.child}-store"
        shutil.rmtree(store, ignore_errors=True)
        print(json.dumps(measured(given.work / given.child, given.work / "pictures" / "manifest.toml", store)))
        return
    rows = [row(family, given.work) for family in given.family or FAMILIES]
    for found in rows:
        print(found["family"], found["error"], flush=True)
    if given.family is None:
        import torch
        import transformers

        about = {
            "command": "python -m benchmarks.planner --work DIR",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "device": "cpu",
            "dtype": "float32",
            "batch": BATCH,
            "sizes": SIZES,
        }
        STUDY.publish({"about": about, "rows": rows})


if __name__ == "__main__":
    main()
