"""How often the interval of AUROC holds the truth, by patients, images a patient, share of the class and area.

    python -m benchmarks.auroc --work DIR

Scores are normal, those of the class further up; four fifths of their variance is a patient's. Beside the suite's
interval stands DeLong's, by images, as published packages compute it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import Rows, Study, wilson
from medprobe.diagnostics.arrays import Floats, Ints
from medprobe.diagnostics.judgement import ranking
from medprobe.diagnostics.judgement.resamples import Resamples, interval

OF_PATIENT = 0.8
"""Share of a score's variance that the images of a patient have in common."""
N_DRAWS = 500


@dataclass(frozen=True)
class Design:
    """n_groups patients of `each` images, this share of them of the class, and the true area."""

    n_groups: int
    each: int
    share: float
    true: float


def designs() -> list[Design]:
    return [Design(*parts) for parts in itertools.product((20, 40, 150, 600), (1, 4), (0.5, 0.2), (0.7, 0.9, 0.97))]


def draw(design: Design, rng: np.random.Generator) -> tuple[Ints, Ints, Floats]:
    """Labels, groups and scores, [n_images]."""
    from scipy.stats import norm

    groups = np.arange(design.n_groups).repeat(design.each)
    labels = (np.arange(design.n_groups) < design.share * design.n_groups).astype(np.int64).repeat(design.each)
    noise = np.sqrt(OF_PATIENT) * rng.normal(size=design.n_groups)[groups]
    noise += np.sqrt(1 - OF_PATIENT) * rng.normal(size=len(groups))
    return labels, groups, noise + np.sqrt(2) * norm.ppf(design.true) * labels


def delong(labels: Ints, scores: Floats) -> tuple[float, float]:
    """Area and standard error, every image for itself (DeLong, DeLong and Clarke-Pearson 1988)."""
    ones, rest = scores[labels == 1], scores[labels == 0]
    better = (ones[:, None] > rest) + 0.5 * (ones[:, None] == rest)
    ofs = better.mean(axis=1), better.mean(axis=0)
    return float(better.mean()), float(np.sqrt(sum(of.var(ddof=1) / len(of) for of in ofs)))


def run(design: Design, n_draws: int = N_DRAWS) -> dict[str, Any]:
    """Shares of the draws whose interval holds the truth, or lies above or below it; mean width; the resamples'
    standard error over DeLong's.
    """
    held: list[tuple[bool, bool, bool, float, float]] = []
    published: list[bool] = []
    for seed in range(n_draws):
        labels, groups, scores = draw(design, np.random.default_rng(seed))
        area = ranking.auroc(labels == 1, scores, np.zeros_like(labels))
        drawn = area.resampled(labels, 1, Resamples(labels, groups, 2, seed, 1000), "answer")
        low, high = interval(drawn)
        value, error = delong(labels, scores)
        ratio = float(drawn.std() / error) if error > 0 else np.nan
        held.append((low <= design.true <= high, low > design.true, high < design.true, high - low, ratio))
        published.append(abs(value - design.true) <= 1.96 * error)
    holds, above, below, width, ratios = np.array(held, dtype=np.float64).T
    return {
        **asdict(design),
        "holds": float(holds.mean()),
        "above": float(above.mean()),
        "below": float(below.mean()),
        "width": float(width.mean()),
        "error_ratio": float(np.nanmedian(ratios)),
        "delong_holds": float(np.mean(published)),
    }


def page(rows: Sequence[dict[str, Any]]) -> str:
    """The page made of the rows."""

    def table(each: int) -> str:
        head = (
            "| patients | of the class | area | holds the truth | too high | too low | width | DeLong by images holds |"
        )
        lines = [
            f"| {r['n_groups']} | {100 * r['share']:.0f}% | {r['true']} | {100 * r['holds']:.1f}% | "
            f"{100 * r['above']:.1f}% | {100 * r['below']:.1f}% | {r['width']:.3f} | {100 * r['delong_holds']:.1f}% |"
            for r in rows
            if r["each"] == each
        ]
        return "\n".join([head, "|" + "---:|" * 8, *lines])

    least = min(rows, key=lambda r: r["holds"])
    low, _ = wilson(round(least["holds"] * N_DRAWS), N_DRAWS)
    several = [r for r in rows if r["each"] > 1]
    many = [r for r in rows if r["each"] == 1 and r["n_groups"] == 600]
    ratios = [r["error_ratio"] for r in many]
    overall = 100 * float(np.mean([r["holds"] for r in rows]))
    published = 100 * float(np.mean([r["delong_holds"] for r in several]))
    return f"""# Intervals of AUROC

How often the 95 percent interval of an [AUROC](../reference/scores.md#auroc) holds the true area, in {N_DRAWS} draws
a row. Four fifths of a score's variance is the patient's. DeLong's interval is what published packages give, with every
image for itself.

    python -m benchmarks.auroc --work DIR

* The suite's interval holds the truth in {overall:.1f} percent of all draws. The least is {100 * least["holds"]:.1f}
  percent (at least {100 * low:.1f}, 95 percent interval), with {least["n_groups"]} patients.
* With four images a patient DeLong's interval holds it in {published:.1f} percent of the draws, since it takes them for
  independent.
* With 600 patients of one image the two standard errors agree: the suite's is {min(ratios):.2f} to {max(ratios):.2f}
  times DeLong's.

## One image a patient

{table(1)}

## Four images a patient

{table(4)}
"""


STUDY = Study("auroc", page)


def main() -> None:
    parser = STUDY.parser(__doc__, "--work", "--out")
    given = parser.parse_args()
    work: Path = given.work
    rows = Rows(work, STUDY.name, Design.__dataclass_fields__)
    rows.fill(designs(), run)
    STUDY.publish(rows.of(designs()), given.out)


if __name__ == "__main__":
    main()
