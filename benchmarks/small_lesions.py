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
from typing import Any

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


def row(spec: Any, seed: int, work: Path) -> dict[str, Any]:
    """What each readout of the tower reads on one set, and the vision link's verdict for each set of readouts."""
    from diagnostics import judging
    from diagnostics.controls import null
    from diagnostics.evidence import gather
    from diagnostics.exits import Candidate, choose, own_loci
    from diagnostics.readings import REFERENCE_LOCUS
    from diagnostics.settings import Settings
    from fixtures.datasets.dataset import open_dataset
    from fixtures.phantoms.images import draw_dataset

    folder = work / f"small-lesions-{seed}"
    if not (folder / "manifest.toml").exists():
        draw_dataset(folder, N_PATIENTS, 4, seed, radius=RADIUS)
    found = gather(spec, open_dataset(folder / "manifest.toml", None), Settings(work / "store"), lambda *_: None)
    exits = own_loci(name for name in found.readings if name != REFERENCE_LOCUS)["vision"]
    p = null.of_reference(found, null.Permuted(found)).p
    thresholds = found.settings.thresholds.resolve(spec.name, "phantom")

    def vision(predictions: Any) -> dict[str, Any]:
        places = found.predictions | {"vision": predictions}
        judged = judging.judge(found.labels, places, thresholds, found.resamples, found.n_classes, p)
        link = judged.links["vision"]
        return {"signal": round(judged.signal["vision"], 3), "loss": round(link.loss, 3), "verdict": link.verdict}

    def own(readouts: tuple[str, ...]) -> Any:
        names = [name for name in exits if name.split(".")[2] in readouts]
        read = [Candidate(n, found.readings[n].predictions, found.readings[n].inner_accuracy) for n in names]
        return choose(read, found.folds).predictions

    return {
        "seed": seed,
        "reference": round(found.signal(found.predictions["reference"]), 3),
        "answer": round(found.signal(found.said), 3),
        "vision": {
            **{readout: vision(own((readout,))) for readout in READOUTS},
            "mean and grid": vision(own(("mean", "grid"))),
            "all three": vision(own(READOUTS)),
            "as diagnosed": vision(found.predictions["vision"]),
        },
    }


PAGE = """\
# Small lesions

Phantom images whose lesion covers 1 to 3 percent of the picture. The model's tower was trained on such lesions under
an attention head, as SigLIP's towers are, then its connector and LLM upon it; {n_images} images a set, image seeds not
used while the probe was built. Each row is the tower's exit as the readouts named would speak for it, with the verdict
of the vision link; *as diagnosed* also lets later loci speak. Signal in points. Made by

    python benchmarks/small_lesions.py --work DIR

| images | reference | readouts | tower | loss | vision link |
|---|---|---|---|---|---|
{lines}

The answers reach {answers} points.
"""


def page(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| seed {row['seed']} | {100 * row['reference']:.1f} | {name} | {100 * cell['signal']:.1f} | "
        f"{100 * cell['loss']:.1f} | {cell['verdict']} |"
        for row in rows
        for name, cell in row["vision"].items()
    ]
    answers = ", ".join(f"{100 * row['answer']:.1f}" for row in rows)
    return PAGE.format(n_images=4 * N_PATIENTS, lines="\n".join(lines), answers=answers)


def main() -> None:
    from fixtures.models.registry import resolve

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    spec = resolve(str(trained(work / "small-lesion-llava")))
    rows = []
    for seed in SEEDS:
        rows.append(row(spec, seed, work))
        print(json.dumps(rows[-1]), flush=True)
    (HERE / "small_lesions.json").write_text(json.dumps(rows, indent=1) + "\n")
    (HERE.parent / "docs" / "small_lesions.md").write_text(page(rows))


if __name__ == "__main__":
    main()
