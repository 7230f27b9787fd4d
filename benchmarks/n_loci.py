"""Does the number of loci change the verdict? Chains of 6, 30 and 90 loci whose content is known.

    python -m benchmarks.n_loci

Every locus holds the same class signal under noise of its own (`equal`), or a part of it from the connector on
(`lost`). Exits are chosen as a diagnosis chooses them, inside the folds; beside it stands the rule that takes the
largest held-out signal among an exit's candidates. Writes benchmarks/results/n_loci.json, of which the page of the
detection matrix has a section.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.study import Study

STUDY = Study("n_loci")
N_LOCI = (6, 30, 90)
N_SEEDS = 40
N_GROUPS, IMAGES_PER_GROUP, N_CLASSES, WIDTH = 60, 4, 3, 12
STRENGTH, LOST = 2.5, 0.35
"""Distance of a class's mean from the origin in units of the noise, and the share of it left by a lossy connector."""


def chain_of(n_loci: int) -> list[str]:
    """Names of that many loci: half of the layers in the tower, half in the LLM."""
    n_layers = (n_loci - 2) // 4
    vision = [f"vision.{layer}.{readout}" for layer in range(n_layers) for readout in ("mean", "grid")]
    llm = [f"llm.{layer}.{readout}" for layer in range(n_layers) for readout in ("mean", "last")]
    return [*vision, "connector.0.mean", "connector.0.grid", *llm]


def one(n_loci: int, lost: bool, seed: int) -> dict[str, Any]:
    from medprobe.diagnostics.judgement import exits, verdicts
    from medprobe.diagnostics.judgement.resamples import Resamples
    from medprobe.diagnostics.probes import folds
    from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS, REFERENCE_LOCUS, order
    from medprobe.diagnostics.probes.ridge import read_ridge
    from medprobe.diagnostics.scores import balanced_accuracy
    from medprobe.diagnostics.thresholds import load_thresholds

    rng = np.random.default_rng((n_loci, lost, seed))
    groups = np.repeat(np.arange(N_GROUPS), IMAGES_PER_GROUP)
    labels = groups % N_CLASSES
    fold = folds.assign(labels, groups, 5, seed)

    def reading(share: float) -> Any:
        patient = rng.normal(0, 0.5, (N_GROUPS, WIDTH))[groups]
        signal = share * STRENGTH * np.eye(N_CLASSES, WIDTH)[labels]
        return read_ridge((signal + patient + rng.normal(size=patient.shape)).astype(np.float32), labels, groups, fold)

    names = chain_of(n_loci)
    readings = {n: reading(LOST if lost and not n.startswith("vision.") else 1) for n in names}
    after = LOST if lost else 1
    readings |= {OPTIONS_LOCUS: reading(after), REFERENCE_LOCUS: reading(1)}
    said = reading(after).predictions
    answer = exits.untrained("answer.said", labels, said, fold, N_CLASSES)
    chosen = {place: choice.predictions for place, choice in exits.of_chain(readings, answer, fold).items()}
    own = exits.own_loci(names)
    later = sorted((n for n in readings if n != REFERENCE_LOCUS), key=order)

    def best(candidates: list[str]) -> Any:
        return max((readings[n].predictions for n in candidates), key=lambda p: balanced_accuracy(labels, p, N_CLASSES))

    largest = chosen | {
        "reference": readings[REFERENCE_LOCUS].predictions,
        "vision": best([*own["vision"], *(n for n in later if not n.startswith("vision."))]),
        "connector": best([n for n in later if not n.startswith("vision.")]),
        "llm": best([*own["llm"], OPTIONS_LOCUS]),
    }
    resamples = Resamples(labels, groups, N_CLASSES, seed)
    thresholds = load_thresholds().resolve("any", "any")

    def judged(places: Any) -> dict[str, Any]:
        found = verdicts.judge(labels, places, thresholds, resamples, N_CLASSES, 0.01)
        retention = found.links["llm"].retention
        return {"verdict": found.verdict, "primary": found.primary, "llm_retention": retention}

    return {"n_loci": n_loci, "lost": lost, "seed": seed, "inside": judged(chosen), "largest": judged(largest)}


def section(cells: Sequence[dict[str, Any]]) -> str:
    """What the page of the detection matrix says of the number of loci."""
    table = [
        "| loci | chains | equal loci, failed | median retention of the llm link | by the largest held-out signal | "
        "lossy connector named |",
        "|---" * 6 + "|",
        *(
            f"| {c['n_loci']} | {c['n_seeds']} | {c['inside_failed']} | {c['inside_retention']:.3f} | "
            f"{c['largest_retention']:.3f} | {c['lost_named_right']} |"
            for c in cells
        ),
    ]
    text = (
        "Made-up chains whose loci all hold the same signal under noise of their own, and chains whose connector keeps "
        f"{LOST:.0%} of it (`python -m benchmarks.n_loci`). The fifth column shows what the exits' choice avoids: by "
        "the largest held-out signal of all candidates the place with more of them is flattered, and equal loci look "
        "like a loss."
    )
    return "\n".join([*textwrap.wrap(text, 118), "", *table])


def main() -> None:
    STUDY.parser(__doc__).parse_args()
    rows = []
    for n_loci in N_LOCI:
        for lost in (False, True):
            rows += [one(n_loci, lost, seed) for seed in range(N_SEEDS)]
            print(n_loci, "lost" if lost else "equal", flush=True)
    cells = []
    for n_loci in N_LOCI:
        equal = [r for r in rows if r["n_loci"] == n_loci and not r["lost"]]
        lossy = [r for r in rows if r["n_loci"] == n_loci and r["lost"]]
        cells.append(
            {
                "n_loci": n_loci,
                "n_seeds": len(equal),
                **{
                    f"{rule}_failed": sum(r[rule]["verdict"] == "fail" for r in equal) for rule in ("inside", "largest")
                },
                **{
                    f"{rule}_retention": round(float(np.median([r[rule]["llm_retention"] for r in equal])), 3)
                    for rule in ("inside", "largest")
                },
                "lost_named_right": sum(r["inside"]["primary"] == "connector_fidelity_loss" for r in lossy),
            }
        )
    STUDY.publish({"cells": cells})


if __name__ == "__main__":
    main()
