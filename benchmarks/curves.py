"""The paper's 84 curves in small: stand-ins of its 14 models, three data sets, before and after a LoRA adapter.

    python -m benchmarks.curves --work DIR [--checkpoints DIR] [--data-root DATA]

A stand-in has the family of its model. Folders in --checkpoints named FAMILY-SEED are trained ones and stand in for the
models of their family in turn; every other stand-in is built with random weights, an eighth as deep as its model. Each
adapter is trained for a few steps on the patients that are not diagnosed. The data sets are drawn, or with --data-root
the paper's own. Features are kept in --work. Writes the page of curves to DIR/curves.html,
benchmarks/results/curves.json, docs/studies/curves.md and, where chromium is on the path, docs/studies/curves.png.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import shutil
import subprocess
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.study import STUDIES, Study, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelSpec, registry

if TYPE_CHECKING:
    from medprobe.diagnostics.records.report import Diagnosis

PICTURE = STUDIES / "curves.png"
BUILT_AS = {"hulu_med": "video_llama_3"}
"""Hulu-Med is loaded into that class."""
PAPER = {alias: entry for alias, entry in registry().items() if entry.paper}
DRAWN = {"drawn": 1.0, "drawn-faint": 1.5, "drawn-fainter": 2.0}
"""Data sets of phantom images, with what their lesions' contrast is divided by."""
PUBLISHED = ("busi", "covid19-ct", "chest-xray")
N_PATIENTS, IMAGES_PER_PATIENT, N_IMAGES = 48, 3, 54
DEPTH, STEPS, BATCH, RATE, RANK = 8, 30, 16, 2e-3, 8
CONDITIONS = ("before", "after")
RANDOM = "random weights"
HEAD = """# The page of curves

The figure of arXiv 2604.08333 is 84 curves: 14 models, 3 data sets, as released and after tuning. `curves.html` is that
figure from any number of reports; every comparison writes it beside `comparison.html`:

    medprobe report before/report.json after/report.json --out comparison

A row is a model, a column a data set. Each picture has two lines, on one scale: before tuning dashed and hollow, after
it solid and filled. Stages are apart, layers stand at their share of a stage's depth; the grey band is what permuted
labels reach, the dotted line is chance. Below stand the signal of the answer before and after, the verdicts, linked to
their pages where these lie beside the reports, and every number. Reports say what is before and what after: one with
`--adapter` comes after the same model without, one with `--tuned-from M` after M. Adapters made for one data set each
share a row.

One model is read in both conditions, compared, and asked what tuning gained and what it cost by

    medprobe diagnose-pair --model medgemma --adapter tuned/busi --dataset tuned/busi/held-out.toml

with what `medprobe tune` wrote ([tuning.md](../guides/tuning.md)) and any option of the suite; `--after CHECKPOINT`
stands for `--adapter` where tuning left a whole checkpoint. Both reports share the store. In the report before, modules
are swapped with the tuned model: the module named there is what tuning gained. In the report after, they are swapped
with the untuned one: the module named there is what tuning cost. The comparison shows both. The exit code is that of
the run after; the run before is not gated.

## An example

![14 rows of small pictures, one a data set, each with a dashed and a solid line]({picture})

Stand-ins of the paper's 14 models, diagnosed on {n_images} {images}, made by

    python -m benchmarks.curves --work DIR --checkpoints DIR{more}

{caution}

Signal of the answer in points, before -> after; * below chance.

| model | stand-in | {datasets} |
|---|---|{rules}
"""
CAUTION = """**None of this is about the models named.** A stand-in has the family of its model and little else.
{trained} of the 14 are small checkpoints that `python -m medprobe.fixtures.phantoms.train` made ({bases}); one that
stands for several models is the same checkpoint there, with other adapters. The other {random} have random weights, and
their curves are those of random features. Every adapter is LoRA of rank {rank} on connector and LLM, trained {steps}
steps of {batch} images of patients that are not diagnosed: enough to move a curve, no tuning anybody would ship. With
so few
images most verdicts are inconclusive, and what permuted labels reach is wide."""


def stand_ins(work: Path, checkpoints: Path | None, texts: Sequence[str]) -> dict[str, tuple[ModelSpec, str]]:
    """Of each model of the paper the checkpoint that stands in for it, and what that is."""
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    turn: dict[str, itertools.cycle[Path]] = {}
    found = {}
    for seed, (alias, entry) in enumerate(PAPER.items()):
        family = BUILT_AS.get(entry.family, entry.family)
        known = [] if checkpoints is None else sorted(checkpoints.glob(f"{family}-[0-9]"))
        trained = [folder for folder in known if (folder / "model.safetensors").is_file()]
        if trained:
            folder = next(turn.setdefault(family, itertools.cycle(trained)))
            what = folder.name
        else:
            folder, what = work / "models" / alias, RANDOM
            depth = {"vision_layers": entry.facts.vision_blocks, "text_layers": entry.facts.decoder_layers}
            build_family(
                family, folder, seed=seed, texts=list(texts) * 8, **{k: round(v / DEPTH) for k, v in depth.items()}
            )
        found[alias] = (ModelSpec(str(folder), name=alias, source=str(folder)), what)
    return found


def data_sets(work: Path, published: bool) -> dict[str, tuple[Path, Path]]:
    """Of each data set the manifest of the patients to tune on, and that of those to diagnose."""
    from medprobe.fixtures.datasets.catalog import resolve
    from medprobe.fixtures.phantoms.images import draw_dataset

    found, of = {}, 8 if published else 2  # an eighth of the published sets is plenty for so short a tuning
    for seed, name in enumerate(PUBLISHED if published else DRAWN):
        if published:
            text, folder = resolve(name).read_text("utf-8"), work / "data"
        else:
            folder = work / "data" / name
            manifest = draw_dataset(folder, N_PATIENTS, IMAGES_PER_PATIENT, 71 + seed, DRAWN[name])
            text = manifest.read_text("utf-8").replace('name = "phantom"', f'name = "{name}"')
        folder.mkdir(parents=True, exist_ok=True)
        parts = []
        for part, use in ((1, "tune"), (2, "diagnose")):
            parts.append(folder / f"{name}-{use}.toml")
            parts[-1].write_text(
                text.replace("[[classes]]", f"subset = {{part = {part}, of = {of}}}\n\n[[classes]]", 1)
            )
        found[name] = (parts[0], parts[1])
    return found


def tune(source: Path, lesson: Any, seed: int, folder: Path) -> Path:
    """A LoRA adapter on connector and LLM that was taught the answers for a few steps."""
    import numpy as np
    import peft
    import torch
    import torch.nn.functional as F

    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.turns import balanced, join, process

    if (folder / "adapter_config.json").is_file():
        return folder
    torch.manual_seed(seed)
    loaded = load(resolve(str(source)))
    tokenizer, parts = loaded.processor.tokenizer, (loaded.anatomy.connector, *loaded.anatomy.decoder_layers)
    linear = [n for n, m in loaded.model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith(parts)]
    model = peft.get_peft_model(loaded.model, peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=linear))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
    turns = process(loaded, lesson.images, lesson.prompt)
    words = [[*tokenizer(a, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for a in lesson.answers]
    for rows in itertools.islice(balanced(lesson.labels, BATCH, np.random.default_rng(seed)), STEPS):
        said = [words[lesson.labels[i]] for i in rows]
        batch, longest = join([turns[i] for i in rows], tokenizer.pad_token_id, said), max(map(len, said))
        asked = batch["input_ids"][:, -longest:].masked_fill(batch["attention_mask"][:, -longest:] == 0, -100)
        logits = model(**batch, use_cache=False).logits[:, -longest - 1 : -1].float()
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), asked.flatten(), ignore_index=-100).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.save_pretrained(folder)
    return folder


def run(work: Path, checkpoints: Path | None, data_root: Path | None) -> tuple[list[Diagnosis], list[dict[str, Any]]]:
    """The diagnoses, before and after of each model and data set, and of each what is kept here."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.phantoms.images import ANSWERS, PROMPT
    from medprobe.fixtures.phantoms.train import dataset_lesson

    sets = data_sets(work, data_root is not None)
    lesson = functools.cache(lambda name: dataset_lesson(sets[name][0], data_root))
    diagnoses, rows = [], []
    for seed, (alias, (spec, what)) in enumerate(stand_ins(work, checkpoints, [PROMPT, *ANSWERS]).items()):
        for name, (_, manifest) in sets.items():
            # By the data set alone, so that the adapters of one share their name over all models.
            folder = tune(Path(spec.source), lesson(name), seed, work / "adapters" / alias / f"{name}-lora")
            for condition, adapter in zip(CONDITIONS, (None, str(folder)), strict=True):
                settings = Settings(
                    work / "store",
                    data_root=data_root,
                    max_images=N_IMAGES,
                    load=LoadOptions(adapter=adapter),
                    max_excluded=0.2,
                )
                start = time.perf_counter()
                found, _ = diagnose(ModelOnDemand(spec, settings), name, functools.partial(Path, manifest), quiet)
                diagnoses.append(found)
                rows.append(
                    {
                        "model": alias,
                        "family": PAPER[alias].family,
                        "stand_in": what,
                        "dataset": name,
                        "condition": condition,
                        "n_images": found.n_images,
                        "verdict": found.verdict,
                        "signal": found.signal and {k: round(v, 4) for k, v in found.signal.model_dump().items()},
                        "error": found.error,
                    }
                )
                print(json.dumps({**rows[-1], "seconds": round(time.perf_counter() - start, 1)}), flush=True)
    return diagnoses, rows


def page(given: Mapping[str, Any]) -> str:
    """docs/studies/curves.md."""
    rows = given["rows"]
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    answers = {
        (row["model"], row["dataset"], row["condition"]): "error"
        if row["signal"] is None
        else f"{100 * max(0, row['signal']['answer']):.1f}{'*' if row['signal']['answer'] < 0 else ''}"
        for row in rows
    }
    what = {row["model"]: row["stand_in"] for row in rows}
    trained = sorted({name for name in what.values() if name != RANDOM})
    n_random = sum(name == RANDOM for name in what.values())
    sizes = sorted({row["n_images"] for row in rows})
    caution = CAUTION.format(
        trained=len(what) - n_random,
        bases=", ".join(trained) or "none",
        random=n_random,
        rank=RANK,
        steps=STEPS,
        batch=BATCH,
    )
    head = HEAD.format(
        picture=PICTURE.name,
        n_images=sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        images="drawn images each" if set(datasets) == set(DRAWN) else "images of each data set",
        more="" if set(datasets) == set(DRAWN) else " --data-root DATA",
        datasets=" | ".join(datasets),
        rules="---|" * len(datasets),
        caution=textwrap.fill(caution, 120, break_on_hyphens=False),
    )
    lines = [
        f"| {model} | {name} | "
        + " | ".join(" -> ".join(answers[model, d, c] for c in CONDITIONS) for d in datasets)
        + " |"
        for model, name in what.items()
    ]
    return head + "\n".join(lines) + "\n"


STUDY = Study("curves", page)


def write_picture(html: Path, chromium: str) -> None:
    """docs/studies/curves.png: the page as a browser shows it, in few colours."""
    from PIL import Image, ImageChops

    shot = html.with_suffix(".png")
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,3200",
         f"--user-data-dir={html.parent / 'chromium'}", f"--screenshot={shot}", html.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    image = Image.open(shot).convert("RGB")
    empty = Image.new("RGB", image.size, image.getpixel((0, 0)))
    _, _, _, low = ImageChops.difference(image, empty).getbbox() or (0, 0, *image.size)
    small = io.BytesIO()
    image.crop((0, 0, image.width, low + 16)).quantize(160).save(small, "PNG", optimize=True)
    PICTURE.write_bytes(small.getvalue())


def main(arguments: Sequence[str] | None = None) -> None:
    from medprobe.diagnostics.records.report import Report
    from medprobe.plugins.report.comparison import compare
    from medprobe.plugins.report.outputs.files import write_report

    parser = STUDY.parser(__doc__, "--work")
    parser.add_argument("--checkpoints", type=Path, help="folder of trained checkpoints named FAMILY-SEED")
    parser.add_argument("--data-root", type=Path, help="folder of the published data sets")
    given = parser.parse_args(arguments)
    work = given.work.absolute()
    diagnoses, rows = run(work, given.checkpoints, given.data_root)
    paths = []
    for index, condition in enumerate(CONDITIONS):
        report = Report(suite={}, verdict=None, diagnoses=diagnoses[index :: len(CONDITIONS)])
        paths.append(write_report(report, work / condition))
    written, said = compare(paths, work)
    print(*said, *written, sep="\n")
    STUDY.publish({"rows": rows})
    chromium = shutil.which("chromium")
    if chromium is not None:
        write_picture(work / "curves.html", chromium)


if __name__ == "__main__":
    main()
