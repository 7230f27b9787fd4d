"""What the gate says where sensitivity is bought with specificity, and of equally good models, on simulated answers.

    python -m benchmarks.by_class

Writes benchmarks/results/by_class.json and docs/studies/by-class.md, whose text says what is done. `--runs` says how
often each row is repeated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study import Study, wilson
from medprobe.diagnostics.baselines.regression import Changes, compare
from medprobe.diagnostics.records.chain import STAGES, Stage
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.settings import FOLD_SEEDS
from medprobe.diagnostics.thresholds import load_thresholds

MARGINS = load_thresholds().margins("any", "any")
EXITS: tuple[Stage, ...] = ("vision", "connector", "llm")
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Set:
    """Images and patients of each class; the sizes of the published sets, and the phantom's."""

    classes: dict[str, tuple[int, int]]

    def rows(self) -> tuple[Ints, Ints]:
        """Labels and groups: the images of a class are dealt to its patients in turn."""
        labels, groups, first = [], [], 0
        for k, (n_images, n_groups) in enumerate(self.classes.values()):
            labels += [k] * n_images
            groups += [first + i % n_groups for i in range(n_images)]
            first += n_groups
        return np.array(labels), np.array(groups)


SMALL, LARGE = "two classes, 600", "two classes, 2400"
SETS = {
    SMALL: Set({"normal": (300, 75), "malignant": (300, 75)}),
    LARGE: Set({"normal": (1200, 300), "malignant": (1200, 300)}),
    "BUSI": Set({"normal": (133, 133), "benign": (437, 437), "malignant": (210, 210)}),
    "COVID19-CT": Set({"normal": (397, 171), "COVID-19": (349, 216)}),
    "Chest-Xray": Set({"normal": (1583, 1100), "pneumonia": (4273, 1690)}),
}
TRADES = {
    "malignant .95 to .80, normal .80 to .95": ((0.80, 0.95), (0.95, 0.80)),
    "malignant .98 to .68, normal .68 to .98": ((0.68, 0.98), (0.98, 0.68)),
}
DIFFERING = (0.02, 0.05, 0.1)
RECALL = 0.9


def drawn(groups: Ints, rng: np.random.Generator) -> NDArray[np.float64]:
    """Uniform numbers, [n_images], which half of a patient's images share."""
    patient = rng.random(int(groups.max()) + 1)[groups]
    return np.where(rng.random(len(groups)) < 0.5, patient, rng.random(len(groups)))


def read(labels: Ints, right: NDArray[np.bool_], k: int, rng: np.random.Generator) -> Ints:
    """The label where an image is read rightly, else another class."""
    return np.where(right, labels, (labels + rng.integers(1, k, len(labels))) % k)


def again(before: Ints, labels: Ints, groups: Ints, share: float, k: int, rng: np.random.Generator) -> Ints:
    """An equally good reading: this share of it is right where it was wrong, or wrong where it was right, as often the
    one as the other in truth."""
    right = before == labels
    moved = drawn(groups, rng) < np.where(right, share / 2 / RECALL, share / 2 / (1 - RECALL))
    return np.where(moved & right, read(labels, ~right, k, rng), np.where(moved & ~right, labels, before))


def run(labels: Ints, groups: Ints, names: list[str], answers: Ints, exits: dict[Stage, list[Ints]]) -> Predictions:
    return Predictions(
        model="simulated",
        dataset="simulated",
        data_fingerprint="",
        prompt="",
        probe="ridge",
        classes=names,
        images=[str(row) for row in range(len(labels))],
        labels=labels.tolist(),
        groups=groups.tolist(),
        places={"answer": answers.tolist()},
        exits={stage: [values.tolist() for values in seeds] for stage, seeds in exits.items()},
        loci={},
        options=[],
        made={},
    )


def alike(of: Set, share: float, rng: np.random.Generator, lost: float = 0.0) -> Changes:
    """Two equally good models; the second also loses this much sensitivity of the last class at the answer."""
    labels, groups = of.rows()
    k, names = len(of.classes), list(of.classes)

    def one() -> Ints:
        return read(labels, drawn(groups, rng) < RECALL, k, rng)

    answer, exits = one(), {stage: one() for stage in EXITS}
    after = again(answer, labels, groups, share, k, rng)
    falls = (after == labels) & (labels == k - 1) & (drawn(groups, rng) < lost / RECALL)
    after = np.where(falls, 0, after)
    seeds = {
        which: {s: [again(exits[s], labels, groups, share, k, rng) for _ in range(FOLD_SEEDS)] for s in EXITS}
        for which in ("before", "after")
    }
    return compare(
        run(labels, groups, names, answer, seeds["before"]), run(labels, groups, names, after, seeds["after"]), MARGINS
    )


def traded(of: Set, before: tuple[float, ...], after: tuple[float, ...], rng: np.random.Generator) -> Changes:
    """Every class is read with the recalls named; the probe exits are read alike but for their folds."""
    labels, groups = of.rows()
    k, names = len(of.classes), list(of.classes)
    one, other = (read(labels, drawn(groups, rng) < np.asarray(recalls)[labels], k, rng) for recalls in (before, after))
    exit_ = read(labels, drawn(groups, rng) < RECALL, k, rng)
    seeds = [
        {s: [again(exit_, labels, groups, 0.02, k, rng) for _ in range(FOLD_SEEDS)] for s in EXITS} for _ in range(2)
    ]
    return compare(run(labels, groups, names, one, seeds[0]), run(labels, groups, names, other, seeds[1]), MARGINS)


def verdict(found: list[str]) -> str:
    """Of several, as the gate has it."""
    return next((v for v in ("regressed", "inconclusive") if v in found), "not_regressed")


def told(found: Changes) -> dict[str, str]:
    """The verdict over the places, over the classes, and of each class's sensitivity."""
    return {
        "places": verdict([c.verdict for c in found.exits.values()]),
        "answer": verdict([found.exits["answer"].verdict]),
        "classes": verdict([c.verdict for c in (*found.sensitivity.values(), *found.specificity.values())]),
        "whole": verdict([c.verdict for c in found.all()]),
        **{f"sensitivity for {name}": verdict([c.verdict]) for name, c in found.sensitivity.items()},
    }


def counted(rows: list[dict[str, str]]) -> dict[str, dict[str, int]]:
    return {key: dict(Counter(row[key] for row in rows)) for key in rows[0]}


def study(runs: int) -> dict[str, Any]:
    trades, equal, margin = [], [], []
    for size in (SMALL, LARGE):
        for name, (before, after) in TRADES.items():
            found = [traded(SETS[size], before, after, np.random.default_rng([0, i])) for i in range(runs)]
            changes = [f.sensitivity["malignant"].change for f in found]
            row = {"trade": name, "set": size, "runs": runs, "mean_change": round(float(np.mean(changes)), 4)}
            trades.append(row | {"verdicts": counted([told(f) for f in found])})
            print(trades[-1], flush=True)
    for size, of in SETS.items():
        if size == LARGE:
            continue
        repeats = max(runs // 4, 20) if size == "Chest-Xray" else runs
        for share in DIFFERING:
            rows = [told(alike(of, share, np.random.default_rng([1, i]))) for i in range(repeats)]
            equal.append({"set": size, "differing": share, "runs": repeats, "verdicts": counted(rows)})
            print(equal[-1], flush=True)
        name = list(of.classes)[-1]
        lost = MARGINS.of("sensitivity", name)
        rows = [told(alike(of, 0.05, np.random.default_rng([2, i]), lost)) for i in range(repeats)]
        margin.append({"set": size, "class": name, "lost": lost, "runs": repeats, "verdicts": counted(rows)})
        print(margin[-1], flush=True)
    return {
        "margins": {
            "minimum_effect": MARGINS.minimum_effect,
            "sensitivity": dict(MARGINS.sensitivity),
            "specificity": dict(MARGINS.specificity),
        },
        "stages": list(STAGES),
        "trades": trades,
        "alike": equal,
        "at_the_margin": margin,
    }


def _cell(row: dict[str, Any], key: str, value: str) -> str:
    return f"{100 * row['verdicts'][key].get(value, 0) / row['runs']:.1f}%"


def page(found: dict[str, Any]) -> str:
    trades = "\n".join(
        f"| {row['trade']} | {row['set']} | {row['runs']} | {100 * row['mean_change']:+.1f} | "
        f"{_cell(row, 'sensitivity for malignant', 'regressed')} | {_cell(row, 'answer', 'regressed')} | "
        f"{_cell(row, 'answer', 'not_regressed')} |"
        for row in found["trades"]
    )
    columns = ["set", "answers that differ", "runs", "called", "95% interval", "classes inconclusive"]
    columns += ["answer inconclusive", "gate inconclusive"]
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    alike_ = head + "\n".join(
        f"| {row['set']} | {100 * row['differing']:g}% | {row['runs']} | {_cell(row, 'whole', 'regressed')} | "
        f"{_alarms(row)} | {_cell(row, 'classes', 'inconclusive')} | {_cell(row, 'answer', 'inconclusive')} | "
        f"{_cell(row, 'whole', 'inconclusive')} |"
        for row in found["alike"]
    )
    margin = "\n".join(
        f"| {row['set']} | {row['class']} | {100 * row['lost']:g} | {row['runs']} | "
        f"{_cell(row, 'sensitivity for ' + row['class'], 'regressed')} | "
        f"{_cell(row, 'sensitivity for ' + row['class'], 'not_regressed')} | {_cell(row, 'answer', 'regressed')} |"
        for row in found["at_the_margin"]
    )
    runs = sum(row["runs"] for row in found["alike"])
    called = sum(row["verdicts"]["whole"].get("regressed", 0) for row in found["alike"])
    low, high = (100 * bound for bound in wilson(called, runs))
    margins = ", ".join(
        f"{measure} {', '.join(f'{name} {100 * value:g}' for name, value in found['margins'][measure].items())}"
        for measure in ("sensitivity", "specificity")
    )
    return f"""# The gate by class

    python -m benchmarks.by_class

Answers are simulated, since the truth must be known. Half of a patient's images share what decides whether they are
read rightly. Margins as built in, in points: signal {100 * found["margins"]["minimum_effect"]:g}, {margins}. All counts
are in [benchmarks/results/by_class.json](../../benchmarks/results/by_class.json).

**Sensitivity bought with specificity.** Two classes of equal size, four images a patient. The balanced accuracy of both
models is the same in truth. *Named*: runs that call the sensitivity for malignant regressed. The last columns say what
the signal of the answer alone, which cannot see the trade, makes of it.

| trade | set | runs | mean change of sensitivity | named | answer's signal regressed | not regressed |
|---|---|---|---|---|---|---|
{trades}

**Equally good models.** Every class is read rightly in {100 * RECALL:g} percent by both, and their answers differ on
the share named, as often for the better as for the worse; the probes of every fold seed differ by as much. *Called*:
any place or class is called regressed, {called} of {runs} runs in all (95 percent interval {low:.1f} to {high:.1f}
percent); the aim is at most 5 percent. *Inconclusive* by the classes, by the answer's signal, and by the whole gate,
which is inconclusive where any of its tests is.

{alike_}

**A loss of exactly the margin.** The same with 5 percent of answers that differ, and a true loss of the sensitivity of
one class as large as what is accepted: of the class neither verdict is right. The signal of the answer loses more than
its own margin where the class's is the larger, and is rightly called then.

| set | class | loss, points | runs | class regressed | class not regressed | answer's signal regressed |
|---|---|---|---|---|---|---|
{margin}

**What this is not.** Whether a model's errors follow patients as they do here is not known. BUSI names no patients, so
each of its images counts as one. The patients of the other sets are dealt their images evenly.
"""


def _alarms(row: dict[str, Any]) -> str:
    low, high = wilson(row["verdicts"]["whole"].get("regressed", 0), row["runs"])
    return f"{100 * low:.1f} to {100 * high:.1f}%"


STUDY = Study("by_class", page)


def main() -> None:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--runs", type=int, default=100)
    STUDY.publish(study(parser.parse_args().runs))


if __name__ == "__main__":
    main()
