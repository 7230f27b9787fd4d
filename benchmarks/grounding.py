"""Whether a planted shortcut is found, and none where there is none.

    python -m benchmarks.grounding --work DIR

Trains a small model on phantom images in which a mark in a corner tells the class and the lesion does not, then hides
lesions for it and for the shipped phantom. Rows are kept in DIR. Writes benchmarks/results/grounding.json and
docs/studies/grounding.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.study import Rows, Study, images, model, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

TRAINING_SEED = 9_001
IMAGE_SEEDS = (8201, 8202, 8203)
"""Images that nothing was built on."""
N_PATIENTS = 60
CASES = (
    ("phantom", "plain", None),
    ("phantom", "marked", None),
    ("shortcut", "marked", None),
    ("shortcut", "plain", None),
    ("phantom", "plain", "connector.muted"),
    ("phantom", "marked", "answer.constant"),
)
"""Model, images and planted fault. The answers of the last three have no signal."""
SHORTCUT = ("shortcut", "marked", None)
TRAINED = ("--views", "1", "--tower-steps", "150", "--text-steps", "150")
TEXT = {"shortcut": "trained on marks", "phantom": "phantom"}

PAGE = """\
# Hidden lesions: a planted shortcut

    python -m benchmarks.grounding --work DIR

Two small models on phantom images ({n_images} images of {n_patients} patients, seeds {seeds}; images whose lesion
leaves no equal area elsewhere are left out). *phantom* is the shipped one, trained on lesions. *trained on marks* is a
LLaVA of the same size, {steps}, on images with a mark in a
corner that tells the class and a lesion that does not. *plain* images have no mark; in *marked* ones both mark and
lesion tell the class, as in a data set with burnt-in markers. Signal of the answer in points: intact, with the lesion
hidden (*no lesion*), with an equal area elsewhere hidden; *still right*: images with a lesion whose right answer stays
right without it.

| model | images | fault | seed | intact | no lesion | no elsewhere | lesion less elsewhere | still right | shortcut |
|---|---|---|---|---|---|---|---|---|---|
{lines}

Named: {n_found} of {n_shortcuts} where a shortcut was planted, {n_false} of {n_others} others. A model without signal
in its answer is not judged (`-`).

What probes trained on intact images read at each exit, and what replacing the lesion's image tokens at the decoder's
input does to the answer, averaged over seeds:

| model | images | vision | connector | llm | tokens: answer without the lesion's | tokens: without as many elsewhere |
|---|---|---|---|---|---|---|
{exits}

The exits as intact > lesion hidden. Replacing the lesion's tokens changes little in these models: a tower whose
attention spans the picture has spread the lesion over all tokens by then, which is why the two are measured apart.
"""


def train_shortcut(work: Path) -> Path:
    """The model that learnt marks, trained once."""
    from medprobe.fixtures.phantoms.train import main

    folder = work / "shortcut"
    if not (folder / "training.json").exists():
        manifest = images(work / "marks", 150, 4, TRAINING_SEED, marked=True, lesions_tell=False)
        main(["--out", str(folder), "--dataset", str(manifest), *TRAINED])
    return folder


def run(case: Mapping[str, Any], work: Path, n_patients: int = N_PATIENTS) -> dict[str, Any]:
    """One model on one set of images."""
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.grounding.hide_lesions import ground
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset

    if case["model"] == "shortcut":
        train_shortcut(work)
    shown, seed = case["images"], case["seed"]
    manifest = images(work / f"{shown}-{seed}-{n_patients}", n_patients, 4, seed, marked=shown == "marked")
    started = time.perf_counter()
    spec = model(case["model"], work, case["fault"])
    evidence = gather(ModelOnDemand(spec, Settings(store=work / "store")), open_dataset(manifest, None), quiet)
    found = ground(evidence)
    seconds = round(time.perf_counter() - started, 1)
    return {**case, "n_patients": n_patients, **json.loads(found.model_dump_json()), "seconds": seconds}


def page(found: Mapping[str, Any]) -> str:
    rows, lines = found["rows"], []
    for row in rows:
        answer, pixels = row["pixels"]["places"]["answer"], row["pixels"]
        low, high = (100 * bound for bound in answer["specific"]["ci"])
        named = {True: "named", False: "no", None: "-"}[row["shortcut"]]
        still = f"{pixels['right_without_lesion']} of {pixels['right']}"
        lines.append(
            f"| {TEXT[row['model']]} | {row['images']} | {row['fault'] or 'none'} | {row['seed']} | "
            f"{100 * answer['intact']:.0f} | {100 * answer['without_lesion']:.0f} | "
            f"{100 * answer['without_elsewhere']:.0f} | "
            f"{100 * answer['specific']['change']:.0f} ({low:.0f} to {high:.0f}) | {still} | {named} |"
        )
    shortcuts = [row for row in rows if (row["model"], row["images"], row["fault"]) == SHORTCUT]
    others = [row for row in rows if row not in shortcuts]
    return PAGE.format(
        n_images=4 * rows[0]["n_patients"],
        n_patients=rows[0]["n_patients"],
        seeds=", ".join(map(str, dict.fromkeys(row["seed"] for row in rows))),
        steps=f"its tower trained for {TRAINED[3]} steps and the rest for {TRAINED[5]}",
        lines="\n".join(lines),
        n_found=sum(row["shortcut"] is True for row in shortcuts),
        n_shortcuts=len(shortcuts),
        n_false=sum(row["shortcut"] is True for row in others),
        n_others=len(others),
        exits="\n".join(_exits(rows)),
    )


def _exits(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    for name, shown, fault in CASES:
        if fault is not None:
            continue
        cases = [row for row in rows if (row["model"], row["images"], row["fault"]) == (name, shown, fault)]

        def mean(way: str, place: str, state: str, cases: list[dict[str, Any]] = cases) -> str:
            return f"{100 * sum(case[way]['places'][place][state] for case in cases) / len(cases):.0f}"

        exits = [
            f"{mean('pixels', place, 'intact')} > {mean('pixels', place, 'without_lesion')}"
            for place in ("vision", "connector", "llm")
        ]
        tokens = [mean("tokens", "answer", state) for state in ("without_lesion", "without_elsewhere")]
        lines.append(f"| {TEXT[name]} | {shown} | {' | '.join([*exits, *tokens])} |")
    return lines


STUDY = Study("grounding", page)


def main() -> None:
    given = STUDY.parser(__doc__, "--work").parse_args()
    fields = ("model", "images", "fault", "seed")
    cells = [dict(zip(fields, (*case, seed), strict=True)) for case in CASES for seed in IMAGE_SEEDS]
    rows = Rows(given.work, "grounding", fields)
    rows.fill(cells, partial(run, work=given.work))
    STUDY.publish({"rows": rows.of(cells)})


if __name__ == "__main__":
    main()
