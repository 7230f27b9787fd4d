"""What the suite says where there is nothing to find: shuffled labels, and noise that images of a patient share.

    OMP_NUM_THREADS=1 python -m benchmarks.nulls

Features of the phantom are computed once; only labels are shuffled. Minutes on one core. Writes
benchmarks/results/nulls.json and docs/studies/nulls.md.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import Study, quiet, wilson
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

N_SEEDS = 20
N_PATIENTS, IMAGES_PER_PATIENT = 60, 4
N_NOISE_SEEDS = 300
N_GROUPS, GROUP_SIZE, WIDTH, OWN_NOISE = 24, 8, 6, 0.1
N_PERMUTATIONS = 99
LEVEL = 0.05


def shuffled_labels(dataset: Any, by: str, seed: int) -> Any:
    """The data set with its labels shuffled between images, or between whole patients."""
    rng = np.random.default_rng(seed)
    labels, groups = np.array(dataset.labels()), np.array(dataset.groups())
    if by == "image":
        drawn = rng.permutation(labels)
    else:
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        drawn = rng.permutation(labels[first])[group]
    images = tuple(replace(i, label=int(label)) for i, label in zip(dataset.images, drawn, strict=True))
    return replace(dataset, images=images, fingerprint=f"{dataset.fingerprint} shuffled by {by} {seed}")


def study_shuffled(folder: Path) -> list[dict[str, Any]]:
    from medprobe.diagnostics.controls import null
    from medprobe.diagnostics.diagnosis import judgement_of
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.images import draw_dataset

    spec, settings = resolve("phantom"), Settings(store=folder / "store")
    dataset = open_dataset(draw_dataset(folder / "set", N_PATIENTS, IMAGES_PER_PATIENT, seed=1), None)
    rows = []
    for by in ("nothing", "image", "patient"):
        for seed in range(1 if by == "nothing" else N_SEEDS):
            given = dataset if by == "nothing" else shuffled_labels(dataset, by, seed)
            evidence = gather(ModelOnDemand(spec, settings), given, quiet)
            found = null.of_reference(evidence)
            judged = judgement_of(evidence, found.p)
            rows.append(
                {
                    "shuffled_by": by,
                    "seed": seed,
                    "verdict": judged.verdict,
                    "named": [judged.primary] if judged.primary else list(judged.tied),
                    "reference": round(judged.signal["reference"], 3),
                    "band": round(found.band, 3),
                    "p": round(found.p, 3),
                    "said": all("do not carry the labels" in link.reason for link in judged.links.values()),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def study_noise() -> dict[str, float]:
    """Share of seeds whose noise is called readable, labels permuted by patient or by image."""
    from medprobe.diagnostics.controls.null import p_value
    from medprobe.diagnostics.probes import folds
    from medprobe.diagnostics.probes.permutations import permuted_labels, scores_of
    from medprobe.diagnostics.probes.ridge import read_label_sets

    groups = np.repeat(np.arange(N_GROUPS), GROUP_SIZE)
    labels = groups % 2
    called: Counter[str] = Counter()
    for seed in range(N_NOISE_SEEDS):
        fold = folds.assign(labels, groups, 5, seed)
        rng = np.random.default_rng(seed)
        shared, own = rng.normal(size=(N_GROUPS, WIDTH)), rng.normal(size=(len(groups), WIDTH))
        x = (shared[groups] + OWN_NOISE * own).astype(np.float32)
        for by, unit in (("patient", groups), ("image", np.arange(len(groups)))):
            sets = np.vstack([labels, permuted_labels(labels, unit, fold, N_PERMUTATIONS, seed)])
            read = read_label_sets(x, sets, groups, fold, 2)
            signals, _ = scores_of(sets, read.argmax(axis=2), 2)
            called[by] += p_value(signals[1:], signals[0]) <= LEVEL
    return {by: called[by] / N_NOISE_SEEDS for by in ("patient", "image")}


def page(found: dict[str, Any]) -> str:
    def count(by: str, test: Any) -> str:
        rows = [row for row in found["shuffled"] if row["shuffled_by"] == by]
        return f"{sum(bool(test(row)) for row in rows)} of {len(rows)}"

    def share(by: str) -> str:
        k = round(found["noise"][by] * N_NOISE_SEEDS)
        low, high = wilson(k, N_NOISE_SEEDS)
        return f"{k / N_NOISE_SEEDS:.1%} ({low:.1%} to {high:.1%})"

    lines = [
        "# Where there is nothing to find",
        "",
        "`python -m benchmarks.nulls` computes all of this ([nulls.json](../../benchmarks/results/nulls.json)).",
        "",
        "## Shuffled labels",
        "",
        f"The phantom on {N_PATIENTS * IMAGES_PER_PATIENT} images of {N_PATIENTS} patients, its features computed "
        "once, the labels shuffled anew for every seed.",
        "",
        "| labels shuffled between | inconclusive | reason said | a failure mode named |",
        "|---|---|---|---|",
        *(
            f"| {words} | {count(by, lambda r: r['verdict'] == 'inconclusive')} | {count(by, lambda r: r['said'])} | "
            f"{count(by, lambda r: r['named'])} |"
            for by, words in (("nothing", "none: as drawn"), ("image", "images"), ("patient", "whole patients"))
        ),
        "",
        "## Noise that the images of a patient share",
        "",
        f"{N_NOISE_SEEDS} draws of {N_GROUPS} patients with {GROUP_SIZE} nearly equal images of pure noise each, the "
        f"label constant within a patient; {N_PERMUTATIONS} permutations, level 5%.",
        "",
        "| labels permuted between | noise called readable (95% interval) |",
        "|---|---|",
        f"| whole patients, as here | {share('patient')} |",
        f"| single images | {share('image')} |",
        "",
    ]
    return "\n".join(lines)


STUDY = Study("nulls", page)


def main() -> None:
    STUDY.parser(__doc__).parse_args()
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        STUDY.publish({"shuffled": study_shuffled(Path(folder)), "noise": study_noise()})


if __name__ == "__main__":
    main()
