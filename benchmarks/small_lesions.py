"""Lesions of 1 to 3 percent of the picture: what each readout finds of them, and what it makes of the vision link.

    python benchmarks/small_lesions.py --work DIR

A small model whose tower was trained under an attention head, as SigLIP's are, is trained on such lesions (once, kept
in DIR) and diagnosed on image seeds not used while the probe was built. Writes benchmarks/small_lesions.json and
docs/small_lesions.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

RADIUS = (3.66, 6.2)
"""Pixels of a 64 x 64 picture: discs of 1.03 to 2.95 percent of the area."""
SEEDS = (9101, 9102, 9103)
N_PATIENTS = 150
READOUTS = ("mean", "grid", "attention")


def trained(folder: Path) -> Path:
    from fixtures.phantoms.train import TRAINING_SEED, Plan, phantom_lesson, train

    if not (folder / "model.safetensors").exists():
        draft = folder.with_name(folder.name + "-draft")
        train(phantom_lesson(TRAINING_SEED + 77, 1500, radius=RADIUS), draft, Plan(seed=77, tower_head="attention"))
        draft.replace(folder)
    return folder


def main() -> None:
    from diagnostics import judging
    from diagnostics.evidence import gather
    from diagnostics.exits import of_chain, untrained
    from diagnostics.settings import Settings
    from fixtures.datasets.dataset import open_dataset
    from fixtures.models.registry import resolve
    from fixtures.phantoms.images import draw_dataset

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    spec = resolve(str(trained(work / "small-lesion-llava")))
    rows = []
    for seed in SEEDS:
        folder = work / f"small-lesions-{seed}"
        if not (folder / "manifest.toml").exists():
            draw_dataset(folder, N_PATIENTS, 4, seed, radius=RADIUS)
        found = gather(spec, open_dataset(folder / "manifest.toml", None), Settings(work / "store"), lambda *_: None)
        exit_ = max(int(name.split(".")[1]) for name in found.readings if name.startswith("vision."))
        answer = untrained("answer.said", found.labels, found.said, found.folds, found.n_classes)

        def verdict(readouts: tuple[str, ...], found=found, answer=answer) -> dict[str, object]:
            """The vision link if only these readouts existed: without later loci, which would lend the tower theirs."""
            own = {
                name: reading
                for name, reading in found.readings.items()
                if not name.startswith(("vision.", "connector.", "reference")) or name.split(".")[-1] in readouts
            }
            own |= {"reference": found.readings["reference"]}
            chosen = of_chain(own, answer, found.folds)
            thresholds = found.settings.thresholds.resolve("any", "phantom")
            judged = judging.judge(
                found.labels,
                {place: choice.predictions for place, choice in chosen.items()},
                thresholds,
                found.resamples,
                found.n_classes,
            )
            return {"verdict": judged.links["vision"].verdict, "signal": judged.signal}

        rows.append(
            {
                "seed": seed,
                "reference": found.signal(found.readings["reference"].predictions),
                "tower": {r: found.signal(found.readings[f"vision.{exit_}.{r}"].predictions) for r in READOUTS},
                "answer": found.signal(found.said),
                "mean_only": verdict(("mean",)),
                "all": verdict(READOUTS),
            }
        )
        print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
