"""Whether intervals and verdicts keep their promise with few patients, on made-up predictions whose truth is known.

    python -m benchmarks.coverage --work DIR [--shard 1/4]

Rows are kept in DIR. The run that finds all of them writes benchmarks/results/coverage.json and
docs/studies/coverage.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study import Rows, Study, chosen

N_RUNS, N_RESAMPLES, BATCH = 500, 1000, 50
N_DERIVING = 200
GROUPS = (3, 5, 8, 15, 30, 100)
IMAGES = (1, 4, 20, None)
"""Images of a group; None: 1 to 20, evenly on a logarithmic scale."""
RHO = (0.0, 0.3, 0.7, 1.0)
RATIOS = ((50, 50), (90, 10), (95, 5))
SIGNALS = (0.3, 0.45, 0.6, 0.75, 0.9, 1.0)
TAU, MINIMUM_EFFECT = 0.8, 0.02
MOST_GROUPS, MOST_IMAGES = 400, 6000
TRIED = ((1.0, 8.0), (2.0, 2.0), (2.0, 8.0), (2.0, 1e9), (3.0, 8.0))
"""Groups added, and groups' worth of belief that the images of a group agree."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Design:
    """What is simulated.

    n_groups: of the rarest class; the others have more by `ratio`, shared among them. rho: correlation of two images of
    a group. signal: before the link. shared: whether what is read wrongly before is read wrongly after as well, or
    the places err apart. lost: in `all` classes alike, in `one`, or by whole groups (`groups`) whatever rho is.
    """

    n_classes: int
    n_groups: int
    ratio: tuple[int, int]
    images: int | None
    rho: float
    signal: float
    shared: bool
    lost: str
    seed: int


def designs(seed: int) -> Iterator[Design]:
    """Every combination of classes, groups, ratio, images and rho that is not too large; signal, pairing and where the
    loss falls are drawn.
    """
    rng = np.random.default_rng(seed)
    for k, n, ratio, images, rho in itertools.product((2, 3), GROUPS, RATIOS, IMAGES, RHO):
        signal = float(rng.choice(SIGNALS))
        shared = bool(rng.random() < 0.5)
        lost = str(rng.choice(["all", "one", "groups"]))
        own_seed = int(rng.integers(2**31))
        n_groups = sum(groups_by_class(k, n, ratio))
        if (images == 1 and rho > 0) or n_groups > MOST_GROUPS or n_groups * (images or 7) > MOST_IMAGES:
            continue
        yield Design(k, n, ratio, images, rho, signal, shared, lost, own_seed)


def groups_by_class(n_classes: int, n_groups: int, ratio: tuple[int, int]) -> list[int]:
    others = round(n_groups * ratio[0] / ratio[1] / (n_classes - 1)) if ratio != (50, 50) else n_groups
    return [n_groups, *[others] * (n_classes - 1)]


@dataclass(frozen=True)
class Simulation:
    """Draws whether images are read rightly at the two ends of a link."""

    design: Design
    labels: Ints
    groups: Ints

    @staticmethod
    def of(design: Design) -> Simulation:
        rng = np.random.default_rng([design.seed, 0])
        of_group = np.repeat(
            np.arange(design.n_classes), groups_by_class(design.n_classes, design.n_groups, design.ratio)
        )
        sizes = (
            np.round(20 ** rng.random(len(of_group))).astype(int)
            if design.images is None
            else np.full(len(of_group), design.images)
        )
        return Simulation(design, np.repeat(of_group, sizes), np.repeat(np.arange(len(of_group)), sizes))

    def recalls(self, share: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of every class before and after a link that hands on `share` of the signal."""
        k, s = self.design.n_classes, self.design.signal
        before = np.full(k, 1 / k + s * (1 - 1 / k))
        lost = (1 - share) * s * (1 - 1 / k)
        if self.design.lost == "one" and k * lost <= before[0]:
            return before, before - np.where(np.arange(k) == 0, k * lost, 0.0)
        return before, before - lost

    def draw(self, rng: np.random.Generator, share: float, n_runs: int) -> tuple[Bools, Bools]:
        """[n_runs, n_images] before and after."""
        before, after = self.recalls(share)
        by_image, by_group = (n_runs, len(self.labels)), (n_runs, int(self.groups.max()) + 1)
        as_group = rng.random(by_image) < np.sqrt(self.design.rho)

        def luck() -> NDArray[np.float64]:
            return np.where(as_group, rng.random(by_group)[:, self.groups], rng.random(by_image))

        first = luck()
        right = first < before[self.labels]
        if self.design.lost == "groups":
            kept = rng.random(by_group)[:, self.groups] < (after / before)[self.labels]
            return right, right & kept
        return right, (first if self.design.shared else luck()) < after[self.labels]


class Percentile:
    """The rule of before: the plain bootstrap of whole groups, drawn within classes, central percentiles."""

    def __init__(self, labels: Ints, groups: Ints, n_classes: int, seed: int, n_resamples: int) -> None:
        rng = np.random.default_rng(seed)
        self._labels, self._groups, self._k = labels, groups, n_classes
        counts = self._sums(np.ones(len(labels)))
        self._weights = np.zeros((n_resamples, len(counts)))
        for k in range(n_classes):
            members = np.flatnonzero(counts.argmax(axis=1) == k)
            even = np.full(len(members), 1 / len(members))
            self._weights[:, members] = rng.multinomial(len(members), even, n_resamples)
        self._totals = self._weights @ counts

    def _sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., n_images] to [..., n_groups, n_classes]."""
        n_groups = int(self._groups.max()) + 1
        cells = np.zeros((len(self._labels), n_groups * self._k))
        cells[np.arange(len(cells)), self._groups * self._k + self._labels] = 1
        return (values @ cells).reshape(*values.shape[:-1], n_groups, self._k)

    def signal(self, predictions: Ints, place: str = "") -> NDArray[np.float64]:
        hits = self._weights @ self._sums((predictions == self._labels).astype(float))
        return np.asarray(((hits / self._totals).mean(axis=-1) - 1 / self._k) / (1 - 1 / self._k))


def run(design: Design, rules: Mapping[str, Any], n_runs: int = N_RUNS) -> dict[str, Any]:
    """Shares of `n_runs` in which each rule's intervals hold the truth, and in which it is wrong or silent at the
    margin.

    A second link, which hands on all of the signal or half of it, is judged for coverage alone.
    """
    from medprobe.diagnostics.judgement.resamples import ALPHA
    from medprobe.diagnostics.judgement.verdicts import link_verdict

    simulation = Simulation.of(design)
    labels, k = simulation.labels, design.n_classes
    resamples = {name: rule(labels, simulation.groups, k, 0, N_RESAMPLES) for name, rule in rules.items()}
    rng = np.random.default_rng([design.seed, 1])
    other = float(rng.choice([0.5, 1.0]))
    counted = {name: dict.fromkeys((*SHARES, "signal_width", "loss_width"), 0.0) for name in rules}
    for share in (TAU, other):
        for _ in range(n_runs // BATCH):
            read = [np.where(right, labels, (labels + 1) % k) for right in simulation.draw(rng, share, BATCH)]
            for name, rule in resamples.items():
                before, after = rule.signal(read[0], "before"), rule.signal(read[1], "after")
                found = counted[name]
                low, high = np.quantile(before - after, [0.025, 0.975], axis=-1)
                held = np.sum(_inside((1 - share) * design.signal, low, high))
                if share != TAU:
                    found["other_loss_covered"] += held
                    continue
                found["loss_covered"] += held
                found["loss_width"] += np.sum(high - low)
                low, high = np.quantile(before, [0.025, 0.975], axis=-1)
                found["signal_covered"] += np.sum(_inside(design.signal, low, high))
                found["signal_width"] += np.sum(high - low)
                readable = np.quantile(before, ALPHA / 4, axis=-1) > 0
                for verdict, clear in zip(map(link_verdict, after - TAU * before), readable, strict=True):
                    found[verdict if clear else "inconclusive"] += 1
    return {
        **asdict(design),
        "other_share": other,
        "n_runs": n_runs,
        "rules": {
            name: {key: round(float(value) / n_runs, 4) for key, value in found.items()}
            for name, found in counted.items()
        },
    }


def _inside(truth: float, low: NDArray[np.float64], high: NDArray[np.float64]) -> Bools:
    return (low - 1e-9 <= truth) & (truth <= high + 1e-9)


SHARES = ("signal_covered", "loss_covered", "other_loss_covered", "pass", "fail", "inconclusive")


def rules() -> dict[str, Any]:
    from medprobe.diagnostics.judgement.resamples import Resamples

    return {"before": Percentile, "now": Resamples}


def derive(cell: Mapping[str, float]) -> dict[str, Any]:
    """What the rule does with two constants, on designs and seeds that the confirmation does not use."""
    from medprobe.diagnostics.judgement import resamples

    kept = resamples.PSEUDO_GROUPS, resamples.PRIOR_GROUPS
    resamples.PSEUDO_GROUPS, resamples.PRIOR_GROUPS = cell["pseudo"], cell["prior"]
    found = [run(design, {"now": resamples.Resamples}, N_DERIVING) for design in list(designs(seed=1))[::8]]
    resamples.PSEUDO_GROUPS, resamples.PRIOR_GROUPS = kept
    return {**cell, "n_designs": len(found), **summary(found, "now")}


def summary(rows: Sequence[Mapping[str, Any]], rule: str) -> dict[str, float]:
    """Least coverage and largest share of errors over designs, and how many break the promise beyond their noise."""
    of = [row["rules"][rule] for row in rows]
    covered = [min(row[key] for key in SHARES[:3]) for row in of]
    n_runs = rows[0]["n_runs"]

    def beyond(values: Iterable[float], promise: float) -> int:
        error = 3 * np.sqrt(promise * (1 - promise) / n_runs)
        return int(sum(value > promise + error for value in values))

    return {
        "signal_mean": float(np.mean([row["signal_covered"] for row in of])),
        "signal_least": min(row["signal_covered"] for row in of),
        "loss_mean": float(np.mean([[row["loss_covered"], row["other_loss_covered"]] for row in of])),
        "loss_least": min(min(row["loss_covered"], row["other_loss_covered"]) for row in of),
        "under": beyond((1 - value for value in covered), 0.07),
        "pass_mean": float(np.mean([row["pass"] for row in of])),
        "pass_most": max(row["pass"] for row in of),
        "pass_over": beyond((row["pass"] for row in of), 0.06),
        "fail_mean": float(np.mean([row["fail"] for row in of])),
        "fail_most": max(row["fail"] for row in of),
        "fail_over": beyond((row["fail"] for row in of), 0.0125),
        "silent": float(np.mean([row["inconclusive"] for row in of])),
    }


@dataclass(frozen=True)
class Loss(Design):
    """A design of the comparison with a baseline, and the points of signal that the later run loses."""

    lost_points: float


def losses() -> Iterator[Loss]:
    for design, lost in itertools.product(gate_designs(), (0.0, 100 * MINIMUM_EFFECT)):
        yield Loss(**asdict(design), lost_points=lost)


def regression(cell: Loss, n_runs: int = N_RUNS) -> dict[str, Any]:
    """How often the comparison with a baseline calls a regression where there is none."""
    from medprobe.diagnostics.baselines.paired import Criterion

    simulation, truth = Simulation.of(cell), cell.lost_points / 100
    labels, k = simulation.labels, cell.n_classes
    rng = np.random.default_rng([cell.seed, list(losses()).index(cell)])
    before = rules()["before"](labels, simulation.groups, k, 0, N_RESAMPLES)
    now = Criterion(labels, simulation.groups, np.full(len(labels), True), True, 1 / (k - 1))
    called, held = {"now": 0, "before": 0}, {"now": 0, "before": 0}
    for _ in range(n_runs // BATCH):
        was, then = simulation.draw(rng, 1 - truth / cell.signal, BATCH)
        tested = now.tested(then.astype(float) - was)
        read = [np.where(right, labels, (labels + 1) % k) for right in (was, then)]
        drawn = before.signal(read[1]) - before.signal(read[0])
        bounds = {"now": (tested.low, tested.high), "before": np.quantile(drawn, [0.05, 0.95], axis=-1)}
        for name, (low, high) in bounds.items():
            held[name] += int(((low - 1e-9 <= -truth) & (-truth <= high + 1e-9)).sum())
            called[name] += int((-high > MINIMUM_EFFECT).sum())
    return {
        **asdict(cell),
        "n_runs": n_runs,
        "covered": {name: count / n_runs for name, count in held.items()},
        "regressed": {name: count / n_runs for name, count in called.items()},
    }


def gate_designs() -> Iterator[Design]:
    for n, images, rho, signal in itertools.product(GROUPS, (1, 4, None), (0.3, 1.0), (0.6, 0.9)):
        if images == 1 and rho < 1:
            continue
        yield Design(2, n, (50, 50), images, rho, signal, False, "all", 1000 + n)


def page(found: Mapping[str, Any]) -> str:
    rows = found["confirm"]
    listed = [row for row in rows if row["lost"] != "groups"]
    by_patient = [row for row in rows if row["lost"] == "groups"]
    lines = [
        "# Do intervals keep their promise with few patients",
        "",
        "    python -m benchmarks.coverage --work DIR",
        "",
        "All data are in [benchmarks/results/coverage.json](../../benchmarks/results/coverage.json).",
        "",
        f"**What is drawn.** Predictions at the two ends of a link, {rows[0]['n_runs']} times a design, {len(rows)} "
        "designs: 2 and 3 classes;",
        "3 to 100 patient groups in the rarest class; classes 50:50, 90:10 and 95:5; 1, 4, 20 or 1 to 20 "
        "images a group;",
        "correlation of the images of a group 0, 0.3, 0.7 and 1. Signal before the link (0.3 to 1.0), whether the two",
        "places err on the same images, and whether the loss falls on all classes, on one or on whole groups "
        "are drawn at",
        f"random for each. Designs of more than {MOST_GROUPS} groups or {MOST_IMAGES:,} images are left out.",
        "",
        "**What is asked.** Of 95 percent intervals, 95 percent hold the truth. At the margin, where the link "
        "hands on just",
        "80 percent, `pass` and `fail` are both wrong; the rules allow 5 and 1.25 percent. *before* is the percentile",
        "bootstrap of whole groups that the suite used, *now* its rule.",
        "",
        "## By groups of the rarest class",
        "",
        f"{len(listed)} designs whose loss falls image by image, correlated as the images of a group are. "
        "Cells hold the "
        "mean over designs and, in",
        "brackets, the worst design. Loss intervals: at the margin, and of a link that loses nothing or half.",
        "",
        *_table(listed),
        "",
        *_promise(listed),
        "",
        "## Losses of whole patients among errors of single images",
        "",
        f"{len(by_patient)} designs in which the link loses whole groups, whatever the correlation of the "
        "errors before "
        "it. Until such a group is",
        "seen, nothing shows that a group can be lost as a whole.",
        "",
        *_table(by_patient),
        "",
        *_promise(by_patient),
        "",
        "## By ratio of classes",
        "",
        "| classes | designs | rule | signal held | loss held | wrong `pass` | wrong `fail` |",
        "|---|---|---|---|---|---|---|",
    ]
    for ratio in RATIOS:
        chosen = [row for row in rows if tuple(row["ratio"]) == ratio]
        for rule in ("before", "now"):
            s = summary(chosen, rule)
            lines.append(f"| {ratio[0]}:{ratio[1]} | {len(chosen)} | {rule} | {_cells(s)} |")
    lines += [
        "",
        "## How wide",
        "",
        "Median over designs of the mean width now, in widths of before, where these are above 0.",
        "",
        "| groups | signal | loss |",
        "|---|---|---|",
    ]
    for n in GROUPS:
        widths = []
        for key in ("signal_width", "loss_width"):
            of = [row["rules"] for row in rows if row["n_groups"] == n and row["rules"]["before"][key] > 0]
            widths.append(np.median([rules["now"][key] / rules["before"][key] for rules in of]))
        lines.append(f"| {n} | {widths[0]:.2f} | {widths[1]:.2f} |")
    return "\n".join([*lines, *_derived(found["derive"]), *_of_regression(found["regression"]), ""])


def _derived(derived: Sequence[Mapping[str, Any]]) -> list[str]:
    from medprobe.diagnostics.judgement.resamples import PRIOR_GROUPS, PSEUDO_GROUPS

    return [
        "",
        "## How the constants were chosen",
        "",
        f"On {derived[0]['n_designs']} other designs and seeds, {N_DERIVING} runs each: groups added to a resample,",
        "and groups' worth of belief that images of a group agree.",
        f"Chosen: {PSEUDO_GROUPS:g} and {PRIOR_GROUPS:g}. *Over* counts designs beyond 6 percent by more than three",
        "standard errors.",
        "",
        "| added | belief | signal held | loss held | wrong `pass` | wrong `fail` | over | without verdict |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {row['pseudo']:g} | {'all' if row['prior'] > 1e6 else format(row['prior'], 'g')} | {_cells(row)} | "
            f"{row['pass_over']} | {row['silent']:.0%} |"
            for row in derived
        ),
    ]


def _of_regression(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        "",
        "## The comparison with a baseline",
        "",
        "Two runs whose errors are drawn apart, and whose true loss is none or just the minimum effect of 2 points:",
        "a call of a regression is wrong. Two classes of equal size. *Now* is the rule of the regression gate. Both",
        "intervals have 95 percent bounds, so that 90 percent hold the truth.",
        "",
        "| groups of a class | true loss | interval held, before | now | called regressed, before | now |",
        "|---|---|---|---|---|---|",
    ]
    for n, lost in itertools.product(GROUPS, (0.0, 2.0)):
        of = [r for r in rows if r["n_groups"] == n and abs(r["lost_points"] - lost) < 1e-6]
        shares = [
            f"{np.mean([r[key][rule] for r in of]):.1%} ({worst(r[key][rule] for r in of):.1%})"
            for key, worst in (("covered", min), ("regressed", max))
            for rule in ("before", "now")
        ]
        lines.append(f"| {n} | {lost:g} points | {' | '.join(shares)} |")
    return lines


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| groups | designs | rule | signal held | loss held | wrong `pass` | wrong `fail` | without verdict |"
    yield "|---|---|---|---|---|---|---|---|"
    for n in GROUPS:
        chosen = [row for row in rows if row["n_groups"] == n]
        for rule in ("before", "now"):
            s = summary(chosen, rule)
            yield f"| {n} | {len(chosen)} | {rule} | {_cells(s)} | {s['silent']:.0%} |"


def _cells(s: Mapping[str, float]) -> str:
    pairs = [("signal_mean", "signal_least"), ("loss_mean", "loss_least"), ("pass_mean", "pass_most")]
    cells = [f"{s[mean]:.1%} ({s[worst]:.1%})" for mean, worst in [*pairs, ("fail_mean", "fail_most")]]
    return " | ".join(cells)


def _promise(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    s = summary(rows, "now")
    yield (
        f"Now, beyond three standard errors of {rows[0]['n_runs']} runs, {s['under']} of {len(rows)} designs hold the "
        f"truth in under 93 percent, {s['pass_over']}"
    )
    yield (
        f"have a wrong `pass` in over 6 percent, and {s['fail_over']} a wrong `fail` in over 1.25 percent; "
        "before it was "
        "{under}, {pass_over} and {fail_over}.".format(**summary(rows, "before"))
    )


STUDY = Study("coverage", page)


def main() -> None:
    given = STUDY.parser(__doc__, "--work", "--shard").parse_args()
    parts: dict[str, tuple[Iterable[str], list[Any], Any]] = {
        "confirm": (Design.__dataclass_fields__, list(designs(seed=2)), partial(run, rules=rules())),
        "derive": (("pseudo", "prior"), [{"pseudo": pseudo, "prior": prior} for pseudo, prior in TRIED], derive),
        "regression": (Loss.__dataclass_fields__, list(losses()), regression),
    }
    found = {}
    for name, (key, cells, make) in parts.items():
        rows = Rows(given.work, name, key, given.shard[0])
        rows.fill(chosen(cells, given.shard), make)
        found[name] = rows.of(cells)
    if all(found.values()):
        STUDY.publish(found)


if __name__ == "__main__":
    main()
