"""Lesions of 1 to 3 percent of the picture: what each readout finds of them, and what it makes of the vision link.

    python -m benchmarks.small_lesions --work DIR

A small model whose tower was trained under an attention head, as SigLIP's are, is trained on such lesions (once, kept
in DIR) and diagnosed on image seeds not used while the probe was built. Rows are kept in DIR. Writes
benchmarks/results/small_lesions.json and docs/studies/small-lesions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.study import Rows, Study, images, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

RADIUS = (3.66, 6.2)
"""Pixels of a 64 x 64 picture: discs of 1.03 to 2.95 percent of the area."""
SEEDS = (9101, 9102, 9103)
N_PATIENTS = 150
READOUTS = ("mean", "grid", "attention")


def trained(folder: Path) -> Path:
    from medprobe.fixtures.phantoms.train import TRAINING_SEED, Plan, phantom_lesson, train

    if not (folder / "model.safetensors").exists():
        draft = folder.with_name(folder.name + "-draft")
        train(phantom_lesson(TRAINING_SEED + 77, 1500, radius=RADIUS), draft, Plan(seed=77, tower_head="attention"))
        draft.replace(folder)
    return folder


def row(spec: Any, seed: int, work: Path) -> dict[str, Any]:
    """What each readout of the tower reads on one set, and the vision link's verdict for each set of readouts."""
    from medprobe.diagnostics.controls import null
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.judgement import verdicts
    from medprobe.diagnostics.judgement.exits import Candidate, choose, own_loci
    from medprobe.diagnostics.probes.loci import REFERENCE_LOCUS
    from medprobe.diagnostics.references.reading import kmeans_regions
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset

    manifest = images(work / f"small-lesions-{seed}", N_PATIENTS, 4, seed, radius=RADIUS)
    found = gather(ModelOnDemand(spec, Settings(work / "store")), open_dataset(manifest, None), quiet)
    exits = own_loci(name for name in found.readings if name != REFERENCE_LOCUS)["vision"]
    p = null.of_reference(found).p
    thresholds = found.settings.thresholds.resolve(spec.name, "phantom")

    def vision(predictions: Any) -> dict[str, Any]:
        places = found.predictions | {"vision": predictions}
        judged = verdicts.judge(found.labels, places, thresholds, found.resamples, found.n_classes, p)
        link = judged.links["vision"]
        return {"signal": round(judged.signal["vision"], 3), "loss": round(link.loss, 3), "verdict": link.verdict}

    tower = {name.split(".")[2]: found.readings[name] for name in exits}
    regions = kmeans_regions(found.measured.images, found.settings)
    side_by_side = regions.reshape(len(regions), -1)
    filters = {
        "mean": found.reader.probe(regions.mean(axis=1)),
        "grid": found.reader.probe(side_by_side),
        "attention": found.reader.attention(side_by_side),
    }

    def by(readings: dict[str, Any], *readouts: str) -> dict[str, Any]:
        read = [Candidate(name, readings[name].predictions, readings[name].inner_accuracy) for name in readouts]
        return vision(choose(read, found.folds).predictions)

    def table(readings: dict[str, Any]) -> dict[str, Any]:
        alone = {readout: by(readings, readout) for readout in READOUTS}
        return alone | {"mean and grid": by(readings, "mean", "grid"), "all three": by(readings, *READOUTS)}

    return {
        "seed": seed,
        "reference": round(found.signal(found.predictions["reference"]), 3),
        "answer": round(found.signal(found.said), 3),
        "tower": table(tower) | {"as diagnosed": vision(found.predictions["vision"])},
        "filters": table(filters),
    }


PAGE = """\
# Small lesions

Phantom images whose lesion covers 1 to 3 percent of the picture. The model's tower was trained on such lesions under
an attention head, as SigLIP's towers are, then its connector and LLM upon it; {n_images} images a set, image seeds not
used while the probe was built. Each row is the tower's exit as the readouts named would speak for it, with the verdict
of the vision link; *as diagnosed* also lets later loci speak. *Filters* stand in for a tower that mixes nothing over
the picture: the K-means filters of the default reference, in place of the tower. Signal in points. Made by

    python -m benchmarks.small_lesions --work DIR

| images | reference | features | readouts | signal | loss | vision link |
|---|---|---|---|---|---|---|
{lines}

The answers reach {answers} points.
"""


def page(found: Mapping[str, Any]) -> str:
    rows = found["rows"]
    lines = [
        f"| seed {row['seed']} | {100 * row['reference']:.1f} | {features} | {name} | {100 * cell['signal']:.1f} | "
        f"{100 * cell['loss']:.1f} | {cell['verdict']} |"
        for row in rows
        for features in ("tower", "filters")
        for name, cell in row[features].items()
    ]
    answers = ", ".join(f"{100 * row['answer']:.1f}" for row in rows)
    return PAGE.format(n_images=4 * N_PATIENTS, lines="\n".join(lines), answers=answers)


STUDY = Study("small_lesions", page)


def main() -> None:
    from medprobe.fixtures.models.registry import resolve

    work: Path = STUDY.parser(__doc__, "--work").parse_args().work
    rows = Rows(work, "small_lesions", ("seed",))
    spec = resolve(str(trained(work / "small-lesion-llava")))
    cells = [{"seed": seed} for seed in SEEDS]
    rows.fill(cells, lambda cell: row(spec, cell["seed"], work))
    STUDY.publish({"rows": rows.of(cells)})


if __name__ == "__main__":
    main()
