"""The regression gate's false alarms, undecided runs and power at the sizes of the published sets.

    python -m benchmarks.gate [--bases DIR --data-root DATA --work DIR]

Answers are simulated, since the truth must be known; with the three options trained models answer too. Writes
benchmarks/results/gate.json and docs/studies/gate.md, whose text says what is done.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate_page import page, sizes_table
from benchmarks.study import GUIDES, Study, filled, model, quiet, trained
from medprobe.diagnostics.baselines.criteria import Accepted, Criteria, judged
from medprobe.diagnostics.baselines.paired import Criterion, Tested
from medprobe.diagnostics.baselines.pooled import pooled_verdict
from medprobe.diagnostics.planning.pictures import published
from medprobe.diagnostics.records.chain import Measure
from medprobe.diagnostics.thresholds import Margins, load_thresholds
from medprobe.fixtures.datasets import catalog

SEED = 20261
RUNS, BATCH = 1000, 250
RECALL, SHARE = 0.9, 0.05
SHARES = (0.02, 0.05, 0.1)
SETS = ("busi", "covid19-ct", "chest-xray")
TRADES = {
    "malignant .95 to .80, normal .80 to .95": ((0.80, 0.95), (0.95, 0.80)),
    "malignant .98 to .68, normal .68 to .98": ((0.68, 0.98), (0.98, 0.68)),
}
DEPENDENCE = {
    "apart": 0.0,
    "half": 0.5,
    "together": 1.0,
}
"""The share of the patients whose images change as one; those of the others change apart."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Key = tuple[Measure, int]


@dataclass(frozen=True)
class Set:
    """Classes, and of every image its class and its patient."""

    classes: tuple[str, ...]
    labels: Ints
    groups: Ints

    @property
    def k(self) -> int:
        return len(self.classes)

    def times(self, times: float, rng: np.random.Generator) -> Set:
        """A set of so many times as many patients of every class, in groups like these."""
        labels, groups, group = [], [], 0
        for k in range(self.k):
            sizes = np.unique(self.groups[self.labels == k], return_counts=True)[1]
            for size in rng.choice(sizes, round(times * len(sizes))):
                labels += [k] * int(size)
                groups += [group] * int(size)
                group += 1
        return Set(self.classes, np.array(labels), np.array(groups))


@cache
def of_published(name: str) -> Set:
    found = published(catalog.resolve(name), None)
    return Set(found.answers, np.array(found.labels), np.array(found.groups))


@cache
def of_two(n_patients: int, size: int) -> Set:
    """Normal and malignant, so many patients of each with so many images."""
    patients = np.repeat(np.arange(2 * n_patients), size)
    return Set(("normal", "malignant"), (patients >= n_patients).astype(np.int64), patients)


def drawn(of: Set, runs: int, together: float, rng: np.random.Generator) -> Floats:
    """[runs, n_images] uniform numbers; of this share of the patients all images have one."""
    n_groups = int(of.groups.max()) + 1
    as_one = (rng.random((runs, n_groups)) < together)[:, of.groups]
    return np.where(as_one, rng.random((runs, n_groups))[:, of.groups], rng.random((runs, len(of.labels))))


def read(of: Set, right: NDArray[np.bool_], rng: np.random.Generator) -> Ints:
    """The label where an image is read rightly, else another class."""
    return np.where(right, of.labels, (of.labels + rng.integers(1, of.k, right.shape)) % of.k)


def retrained(
    of: Set, share: float, lost: Mapping[int, float], together: float, runs: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """[runs, n_images] answers before and after. `share` of them differ, as often for the better as for the worse in
    truth; of the images of a class so many more are `lost`.
    """
    before = read(of, drawn(of, runs, together, rng) < RECALL, rng)
    right = before == of.labels
    moved = drawn(of, runs, together, rng) < np.where(right, share / 2 / RECALL, share / 2 / (1 - RECALL))
    after = np.where(moved & right, read(of, ~right, rng), np.where(moved & ~right, of.labels, before))
    if lost:
        falls = np.array([lost.get(k, 0.0) / RECALL for k in range(of.k)])[of.labels]
        fallen = drawn(of, runs, together, rng) < falls
        after = np.where(fallen & (after == of.labels), (of.labels + rng.integers(1, of.k, after.shape)) % of.k, after)
    return before, after


@dataclass(frozen=True)
class Gate:
    """The gate of a set, over many runs at once."""

    of: Set
    margins: Margins

    def tested(self, before: Ints, after: Ints) -> dict[str, tuple[Tested, Accepted]]:
        """The signal and every class, of [runs, n_images] answers."""
        criteria, labels = Criteria(self.of.labels, self.of.groups, self.of.classes), self.of.labels
        signal, of_class = criteria.accepted(self.margins)
        same = (before == after).all(axis=-1)
        gain = (after == labels).astype(np.float64) - (before == labels)
        found = {"answer": (criteria.signal.tested(gain, same), signal)}
        for (measure, k), accepted in of_class.items():
            now, was = ((said == k) == (labels == k) for said in (after, before))
            tested = criteria.of(measure, k).tested(now.astype(np.float64) - was, same)
            found[f"{measure} for {self.of.classes[k]}"] = tested, accepted
        return found

    def counted(self, answers: Callable[[int], tuple[Ints, Ints]], runs: int) -> dict[str, dict[str, int]]:
        """How often the whole gate, the answer's signal, the classes, and each criterion have each verdict."""
        found: dict[str, list[NDArray[np.str_]]] = {}
        for start in range(0, runs, BATCH):
            tested = self.tested(*answers(min(BATCH, runs - start)))
            pairs = zip(tested, judged([*tested.values()], twice=False), strict=True)
            named = {name: verdict for name, (_, verdict) in pairs}
            classes = worst([verdict for name, verdict in named.items() if name != "answer"])
            rows = {"gate": worst(named.values()), "classes": classes, **named}
            for name, verdicts in rows.items():
                found.setdefault(name, []).append(verdicts)
        return {name: tally(np.concatenate(parts)) for name, parts in found.items()}


def worst(verdicts: Iterable[NDArray[np.str_]]) -> NDArray[np.str_]:
    """Of several criteria, as the gate has it."""
    stacked = np.stack(list(verdicts))
    regressed, open_ = ((stacked == value).any(axis=0) for value in ("regressed", "inconclusive"))
    return np.select([regressed, open_], ["regressed", "inconclusive"], "not_regressed")


def tally(verdicts: NDArray[np.str_]) -> dict[str, int]:
    values, counts = np.unique(verdicts, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def margins_of(name: str) -> Margins:
    return load_thresholds().margins("any", name)


def written(classes: Mapping[tuple[Measure, str], float]) -> Margins:
    """The built-in margins, with those of some classes as a team would write them."""
    built_in = margins_of("any")
    tables: dict[str, Any] = {m: {**getattr(built_in, m)} for m in ("sensitivity", "specificity")}
    for (measure, name), value in classes.items():
        tables[measure][name.casefold()] = value
    own = {f"{measure}.{name.casefold()}" for measure, name in classes}
    return replace(built_in, **tables, built_in=built_in.built_in - own)


def equal_cells() -> list[dict[str, Any]]:
    return [
        {"set": name, "differing": share, "dependence": how}
        for name, share, how in itertools.product(SETS, SHARES, DEPENDENCE)
    ]


def cell_rng(*key: int) -> np.random.Generator:
    return np.random.default_rng([SEED, *key])


def equal(runs: int) -> list[dict[str, Any]]:
    rows = []
    for number, cell in enumerate(equal_cells()):
        of, rng = of_published(cell["set"]), cell_rng(1, number)
        together = DEPENDENCE[cell["dependence"]]
        gate = Gate(of, margins_of(cell["set"]))

        def answers(
            n: int, of: Set = of, cell: Any = cell, together: float = together, rng: Any = rng
        ) -> tuple[Ints, Ints]:
            return retrained(of, cell["differing"], {}, together, n, rng)

        rows.append(cell | {"runs": runs, "verdicts": gate.counted(answers, runs)})
    return rows


def losses(runs: int) -> list[dict[str, Any]]:
    """Losses of the whole, of one class, and of just the margins asked, beside the usual share of changed answers."""
    rows = []
    for number, name in enumerate(SETS):
        of, margins = of_published(name), margins_of(name)
        asked = [margins.of("sensitivity", c) for c in of.classes]
        lost: dict[str, dict[int, float]] = {
            "3 points of accuracy": dict.fromkeys(range(of.k), 0.03),
            "the signal's margin": dict.fromkeys(range(of.k), margins.minimum_effect * (1 - 1 / of.k)),
        }
        for k, c in enumerate(of.classes):
            lost[f"5 points of {c}"] = {k: 0.05}
            lost[f"the margin of {c}"] = {k: asked[k]}
            lost[f"15 points of {c}"] = {k: 0.15}
        for which, (loss, falls) in enumerate(lost.items()):
            rng, gate = cell_rng(2, number, which), Gate(of, margins)

            def answers(n: int, of: Set = of, falls: Any = falls, rng: Any = rng) -> tuple[Ints, Ints]:
                return retrained(of, SHARE, falls, DEPENDENCE["half"], n, rng)

            rows.append(
                {
                    "set": name,
                    "loss": loss,
                    "points": {of.classes[k]: v for k, v in falls.items()},
                    "signal": round(sum(falls.values()) / (of.k - 1), 4),
                    "runs": runs,
                    "verdicts": gate.counted(answers, runs),
                }
            )
    return rows


def sized(runs: int) -> list[dict[str, Any]]:
    """A loss of 5 points of a class's sensitivity, in as many images as the suite says it needs at a written margin of
    half of that.
    """
    rows = []
    for number, name in enumerate(SETS):
        of = of_published(name)
        for k, c in enumerate(of.classes):
            margins = written({("sensitivity", c): 0.025})
            accepted = Criteria(of.labels, of.groups, of.classes).accepted(margins)[1]["sensitivity", k]
            needed = accepted.needed[c]
            n_family = 1 + 2 * of.k
            row: dict[str, Any] = {"set": name, "class": c, "has": int((of.labels == k).sum()), "needed": needed}
            alone = Set(of.classes, *(values[of.labels == k] for values in (of.labels, of.groups)))
            for how, together in DEPENDENCE.items():
                rng = cell_rng(3, number, k, list(DEPENDENCE).index(how))
                verdicts: dict[str, list[NDArray[np.str_]]] = {"lost": [], "equal": []}
                for _ in range(0, runs, 50):
                    big = alone.times(needed / row["has"], rng)
                    whole = Criterion(big.labels, big.groups, np.full(len(big.labels), True), False, 1.0)
                    for what, lost in (("lost", {k: 0.05}), ("equal", {})):
                        before, after = retrained(big, SHARE, lost, together, 50, rng)
                        gain = (after == big.labels).astype(float) - (before == big.labels)
                        # The other criteria see no loss: the first step of their adjustment.
                        tested = whole.tested(gain)
                        alone_p = replace(tested, p=np.minimum(1.0, tested.p * n_family))
                        verdicts[what].append(judged([(alone_p, accepted)], twice=False)[0][1])
                row[how] = {what: tally(np.concatenate(parts)) for what, parts in verdicts.items()}
            rows.append(row | {"runs": len(range(0, runs, 50)) * 50})
    return rows


def trades(runs: int) -> list[dict[str, Any]]:
    """Sensitivity bought with specificity, in 600 images of 150 patients; both models read each image on its own."""
    of, rows = of_two(75, 4), []
    for number, (name, recalls) in enumerate(TRADES.items()):
        rng = cell_rng(4, number)

        def answers(n: int, recalls: Any = recalls, rng: Any = rng) -> tuple[Ints, Ints]:
            one, other = (
                read(of, drawn(of, n, DEPENDENCE["half"], rng) < np.asarray(each)[of.labels], rng) for each in recalls
            )
            return one, other

        rows.append({"trade": name, "runs": runs, "verdicts": Gate(of, margins_of("any")).counted(answers, runs)})
    return rows


def together_sets(runs: int) -> list[dict[str, Any]]:
    """The answer over the three sets, pooled."""
    rows = []
    for number, (name, lost) in enumerate({"none": 0.0, "3 points of accuracy": 0.03}.items()):
        rng = cell_rng(5, number)
        clears, bounds = [], []
        for each in SETS:
            of = of_published(each)
            accepted = Criteria(of.labels, of.groups, of.classes).accepted(margins_of(each))[0]
            found = []
            for start in range(0, runs, BATCH):
                n = min(BATCH, runs - start)
                falls = dict.fromkeys(range(of.k), lost) if lost else {}
                answers = retrained(of, SHARE, falls, DEPENDENCE["half"], n, rng)
                found.append(Gate(of, margins_of(each)).tested(*answers)["answer"][0])
            clears.append(accepted.clears)
            bounds.append([np.concatenate([getattr(f, v) for f in found]) for v in ("change", "low", "high")])
        of_sets = np.array(bounds)
        change = of_sets[:, 0].mean(axis=0)
        low = change - np.sqrt(((of_sets[:, 0] - of_sets[:, 1]) ** 2).sum(axis=0)) / len(SETS)
        high = change + np.sqrt(((of_sets[:, 2] - of_sets[:, 0]) ** 2).sum(axis=0)) / len(SETS)
        margin = max(0.02, sqrt(sum(value**2 for value in clears)) / len(SETS))
        verdicts = [pooled_verdict(ci, 0.02, margin) for ci in zip(low.tolist(), high.tolist(), strict=True)]
        rows.append({"lost": name, "clears": round(margin, 4), "runs": runs, "verdicts": tally(np.array(verdicts))})
    return rows


def covariates(runs: int) -> dict[str, float]:
    """What paired option likelihoods as covariates do to the variance of a change of accuracy.

    An image has a log-odds of its right answer in each model, in one that shares most of it with the other. The change
    of its likelihood is the covariate, its slope estimated out of fold in five folds.
    """
    rng, n = cell_rng(6), 600
    plain, adjusted, correlation = [], [], []
    for _ in range(runs):
        shared = rng.normal(2.2, 1.7, n)
        one, other = (shared + rng.normal(0, 0.3, n) for _ in range(2))
        gain = (other > 0).astype(float) - (one > 0)
        covariate = 1 / (1 + np.exp(-other)) - 1 / (1 + np.exp(-one))
        fold = rng.permutation(n) % 5
        fitted = np.zeros(n)
        for k in range(5):
            slope = np.polyfit(covariate[fold != k], gain[fold != k], 1)[0]
            # Its mean is known from these images alone.
            fitted[fold == k] = slope * (covariate[fold == k] - covariate.mean())
        plain.append(gain.mean())
        adjusted.append((gain - fitted).mean())
        correlation.append(np.corrcoef(gain, covariate)[0, 1])
    return {
        "variance_ratio": round(float(np.var(adjusted) / np.var(plain)), 3),
        "bias": round(float(np.mean(adjusted) - np.mean(plain)), 6),
        "correlation": round(float(np.mean(correlation)), 3),
    }


def sizes() -> list[dict[str, Any]]:
    """What each published set clears, and the images that it needs."""
    rows = []
    for name in SETS:
        of = of_published(name)
        signal, of_class = Criteria(of.labels, of.groups, of.classes).accepted(margins_of(name))
        counts = np.bincount(of.labels)
        named = {"signal of the answer": signal}
        named |= {f"{m} for {of.classes[k]}": accepted for (m, k), accepted in of_class.items()}
        rows += [
            {
                "set": name,
                "criterion": criterion,
                "asked": accepted.asked,
                "clears": accepted.clears,
                "has": {c: int(counts[of.classes.index(c)]) for c in accepted.needed},
                "needed": accepted.needed,
            }
            for criterion, accepted in named.items()
        ]
    return rows


def by_trained(bases: Path, data_root: Path, work: Path) -> dict[str, Any]:
    """Models that were trained apart, on the half of Chest-Xray that none was trained on: how often their answers
    differ, how two images of a patient change together, and what the gate says of every pair in both orders.
    """
    from medprobe.diagnostics.evidence import said_classes
    from medprobe.diagnostics.extraction.measurement import measure
    from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset

    dataset = open_dataset(HELD_OUT, data_root, None, 0)
    said = {}
    for name in trained(bases):
        found = measure(ModelOnDemand(model(name, bases), Settings(store=work / "store")), dataset, quiet)
        said[name] = said_classes(found.texts(), dataset)
        of = Set(dataset.answers, found.labels, found.groups)
    rows = []
    for one, other in itertools.permutations(said, 2):
        answers = said[one][None], said[other][None]

        def alone(_: int, answers: tuple[Ints, Ints] = answers) -> tuple[Ints, Ints]:
            return answers

        gate = Gate(of, margins_of("chest-xray"))
        counted, tested = gate.counted(alone, 1), gate.tested(*answers)
        gain = (said[other] == of.labels).astype(float) - (said[one] == of.labels)
        rows.append(
            {
                "before": one,
                "after": other,
                "differing": round(float(np.mean(said[one] != said[other])), 4),
                "together": {c: round(together(gain, of, k), 3) for k, c in enumerate(of.classes)},
                "changes": {
                    name: [round(float(v[0]), 4) for v in (t.change, t.low, t.high)] for name, (t, _) in tested.items()
                },
                "verdicts": {name: next(iter(verdict)) for name, verdict in counted.items()},
            }
        )
    return {"images": len(of.labels), "patients": len(set(of.groups.tolist())), "pairs": rows}


def together(gain: Floats, of: Set, k: int) -> float:
    """The correlation of the gains of two images of a patient, over all pairs of a class."""
    mine, groups = gain[of.labels == k], of.groups[of.labels == k]
    group = np.unique(groups, return_inverse=True)[1]
    apart = mine - mine.mean()
    sums, squares, sizes = (np.bincount(group, weights=w) for w in (apart, apart**2, np.ones(len(mine))))
    return float((sums**2 - squares).sum() / (sizes * (sizes - 1)).sum() / mine.var())


def study(runs: int, before: Any, real: Any) -> dict[str, Any]:
    return {
        "runs": runs,
        "recall": RECALL,
        "share": SHARE,
        "sizes": sizes(),
        "equal": equal(runs),
        "losses": losses(runs),
        "sized": sized(runs),
        "trades": trades(runs),
        "pooled": together_sets(runs),
        "covariates": covariates(runs),
        "trained": real,
        "before": before,
    }


STUDY = Study("gate", page)
HELD_OUT = Path(__file__).with_name("chest-xray-held-out.toml")


def main() -> None:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--bases", type=Path, metavar="DIR", help="folder of models trained on half of Chest-Xray")
    parser.add_argument("--data-root", type=Path, metavar="DATA", help="folder of the published data sets")
    parser.add_argument("--work", type=Path, metavar="DIR", help="folder of their features")
    given = parser.parse_args()
    known = STUDY.found() if STUDY.results.exists() else {}
    real = by_trained(given.bases, given.data_root, given.work) if given.bases else known.get("trained")
    found = study(given.runs, known["before"], real)
    STUDY.publish(found)
    guide = GUIDES / "gate.md"
    guide.write_text(filled(guide, sizes=sizes_table(found)), "utf-8")


if __name__ == "__main__":
    main()
