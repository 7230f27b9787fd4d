"""What each remedy gives back of what each planted fault takes.

    python -m benchmarks.treatments --bases DIR --work DIR [--base NAME ...]

`--bases` holds checkpoints FAMILY-SEED, each trained by `python -m medprobe.fixtures.phantoms.train --out
DIR/FAMILY-SEED --family FAMILY --seed SEED`. Rows are kept in --work. Writes benchmarks/results/treatments.json and
docs/studies/treatments.md once all bases are done.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import DESTROYS, SHIFTS, image_set
from benchmarks.study import Rows, Study, model, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

BASES = ("phantom", "llava-2", "gemma3-2", "internvl-1", "qwen2_5_vl-1")
IMAGE_SEED = 8101
"""Images that nothing was built on."""
FAULTS: tuple[tuple[str, str | None], ...] = (
    ("healthy", None),
    *(("destroys", f"{stage}.{name}") for stage, names in DESTROYS.items() for name in names),
    *(("shifts", name) for name in SHIFTS),
)
REMEDIES = {
    "calibration": "calibration",
    "batch_prior": "batch prior",
    "blank_prior": "blank prior",
    "blank_contrast": "contrast, blank",
    "noise_contrast": "contrast, noise",
    "image_guidance": "guidance",
    "option_order": "both orders",
    "options_probe": "probe: options",
    "llm_probe": "probe: llm",
    "connector_probe": "probe: connector",
}
AFTER = {"vision": (), "connector": (), "llm": ("connector_probe",), "answer": ("connector_probe", "llm_probe")}
"""The remedies that read before the struck stage's output: what is destroyed there is not lost to them."""

PAGE = """\
# What each remedy gives back

Faults planted in {n_bases} small models ({bases}), {n_images} phantom images a model that nothing was built on, by

    python -m benchmarks.treatments --bases DIR --work DIR

*Lost* is the reference's signal less that of the answer as said, in points, averaged over the models; the columns say
how many of these points each remedy gives back, averaged too, and behind the stroke in how many models it *helps*: its
signal and what it adds are above 0 with all remedies counted. `-` where it was not tried. What the names mean, and what
each costs: [treatments.md](../guides/treatments.md).

| fault | kind | lost | {heads} |
|---|---|---|{rules}|
{lines}

What was destroyed must not come back: of {n_destroyed} remedies tried on destroyed information, {n_false} claim to
help{which}. The probe at the decoder's input is not among them where a later stage was struck, nor that of the last
layer where the answer was: what they read lies before the fault. Under `answer.equal_words` no option can be preferred
to another, yet the level that the words share still varies with the image, and a probe on the likelihoods reads it.
"""


def run(cell: Mapping[str, Any], bases: Path, work: Path) -> dict[str, Any]:
    """One cell; a mechanism that this model has no place for is a row of its own kind."""
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.settings import Settings
    from medprobe.diagnostics.treatments.try_remedies import treat
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.phantoms.faults import FaultError

    spec = model(cell["base"], bases, cell["fault"])
    started = time.perf_counter()
    try:
        evidence = gather(
            ModelOnDemand(spec, Settings(store=work / "store")), open_dataset(image_set(work, IMAGE_SEED), None), quiet
        )
        treated = treat(evidence)
    except FaultError as error:
        return {**cell, "cannot": str(error)}
    return {
        **cell,
        "n_images": treated.n_images,
        "said": round(treated.said, 3),
        "lost": round(treated.lost, 3),
        "trials": {
            trial.name: {"change": round(trial.change.change, 3), "helps": trial.helps}
            for trial in treated.trials
            if trial.change is not None
        },
        "seconds": round(time.perf_counter() - started, 1),
    }


def counted_as_destroyed(row: dict[str, Any]) -> list[str]:
    """The remedies of a row that had nothing left to give back."""
    if row["kind"] != "destroys":
        return []
    return [name for name in row["trials"] if name not in AFTER[row["fault"].partition(".")[0]]]


def page(given: Mapping[str, Any]) -> str:
    tried = [row for row in given["rows"] if "cannot" not in row]
    lines = []
    for kind, fault in FAULTS:
        cells = [row for row in tried if row["fault"] == fault and row["kind"] == kind]
        if not cells:
            continue
        columns = []
        for name in REMEDIES:
            found = [cell["trials"][name] for cell in cells if name in cell["trials"]]
            points = 100 * float(np.mean([trial["change"] for trial in found])) if found else 0.0
            columns.append(f"{points:.0f} / {sum(t['helps'] for t in found)} of {len(found)}" if found else "-")
        lost = 100 * float(np.mean([cell["lost"] for cell in cells]))
        lines.append(f"| {fault or 'none'} | {kind} | {lost:.0f} | " + " | ".join(columns) + " |")
    nothing_left = [(row, name) for row in tried for name in counted_as_destroyed(row)]
    false = [(row["fault"], name) for row, name in nothing_left if row["trials"][name]["helps"]]
    bases = list(dict.fromkeys(row["base"] for row in tried))
    return PAGE.format(
        n_bases=len(bases),
        bases=", ".join(bases),
        n_images=tried[0]["n_images"],
        heads=" | ".join(REMEDIES.values()),
        rules="|".join("---" for _ in REMEDIES),
        lines="\n".join(lines),
        n_destroyed=len(nothing_left),
        n_false=len(false),
        which=": " + ", ".join(f"{name} under {fault} ({n})" for (fault, name), n in Counter(false).items())
        if false
        else "",
    )


STUDY = Study("treatments", page)


def main() -> None:
    parser = STUDY.parser(__doc__, "--bases", "--work")
    parser.add_argument("--base", action="append", help=f"default: {', '.join(BASES)}")
    given = parser.parse_args()

    def cells(bases: Iterable[str]) -> list[dict[str, Any]]:
        return [{"base": base, "kind": kind, "fault": fault} for base in bases for kind, fault in FAULTS]

    rows = Rows(given.work, "treatments", ("base", "kind", "fault"))
    rows.fill(cells(given.base or BASES), partial(run, bases=given.bases, work=given.work))
    made = rows.of(cells(BASES))
    if made is not None:
        STUDY.publish({"image_seed": IMAGE_SEED, "rows": made})


if __name__ == "__main__":
    main()
