"""Shortcut and one-sex fault on trained phantoms, and how often healthy strata are named, on simulated answers.

    python -m benchmarks.subgroups --bases BASES --work DIR
    python -m benchmarks.subgroups --bases BASES --work DIR --train     # the two checkpoints in BASES first

Writes benchmarks/results/subgroups.json and docs/studies/subgroups.md, whose text says what is done. Rows are kept in
DIR. `--runs` says how often each row of the simulation is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.simulated_answers import RECALL, SETS, SMALL, Set, drawn, read
from benchmarks.study import Rows, Study, chosen, images, model, quiet, wilson
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.subgroups import Attributes, Strata
from medprobe.diagnostics.subgroups.reading import Read, compare, judge
from medprobe.diagnostics.thresholds import load_thresholds

MARGIN = load_thresholds().subgroup_margin("any", "any")
Ints = NDArray[np.int64]

HEALTHY, SHORTCUT = "healthy-2", "shortcut-2"
TRAINED = {
    HEALTHY: {"seed": 2, "patients": 1000, "tower_steps": 500, "text_steps": 150, "agreement": 1 / 3},
    SHORTCUT: {"seed": 2, "patients": 600, "tower_steps": 150, "text_steps": 150, "agreement": 0.97},
}
"""How the two checkpoints were trained; seed 1 of each was used while the rules were built."""
N_PATIENTS = 150
SEEDS = (9201, 9202, 9203)
"""Of images that nothing was built on."""
FAULT = "input.marked_flat"


@dataclass(frozen=True)
class Cell:
    """One trained phantom on one drawn set. planted: what must be named, `attribute` or `attribute value`."""

    base: str
    fault: str
    agreement: float
    seed: int
    planted: str


KINDS: dict[str, tuple[str, str, float, str]] = {
    "healthy, scanner tells nothing": (HEALTHY, "", 0.34, ""),
    "healthy, scanner goes with the class": (HEALTHY, "", 0.8, ""),
    "one-sex fault": (HEALTHY, FAULT, 0.34, "sex female"),
    "answer follows the scanner": (SHORTCUT, "", 0.8, "scanner"),
}


def cells() -> list[Cell]:
    return [
        Cell(base, fault, agreement, seed, planted)
        for seed in SEEDS
        for base, fault, agreement, planted in KINDS.values()
    ]


def kind(row: Mapping[str, Any]) -> str:
    return next(
        name
        for name, (base, fault, share, _) in KINDS.items()
        if (base, fault, share) == (row["base"], row["fault"], row["agreement"])
    )


def named(found: Attributes) -> list[str]:
    """What a diagnosis names: `scanner` for a shortcut, `sex female` for a stratum."""
    told = [one.name for one in found.each if one.shortcut is not None and one.shortcut.verdict == "fail"]
    return told + [
        f"{one.name} {stratum.value}"
        for one in found.each
        for stratum in one.strata
        if any(gap.verdict == "fail" for gap in stratum.gaps)
    ]


def diagnosed(cell: Cell, bases: Path, work: Path) -> dict[str, Any]:
    """The strata of one trained phantom."""
    from medprobe.diagnostics.diagnosis import attributes_of
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset

    started = time.perf_counter()
    folder = work / f"subgroups-{cell.agreement:.2f}-{cell.seed}"
    dataset = open_dataset(images(folder, N_PATIENTS, 4, cell.seed, agreement=cell.agreement), None)
    spec = model(cell.base, bases, cell.fault or None)
    evidence = gather(ModelOnDemand(spec, Settings(work / "store")), dataset, quiet)
    found = attributes_of(evidence)
    assert found is not None
    return asdict(cell) | {
        "answer": round(evidence.signal(evidence.predictions["answer"]), 3),
        "verdict": found.verdict,
        "named": named(found),
        "reason": found.reason,
        "readable": {
            one.name: {stage: round(share.value, 3) for stage, share in one.probes.items()} for one in found.each
        },
        "seconds": round(time.perf_counter() - started, 1),
    }


@dataclass(frozen=True)
class Truth:
    """What is simulated. lost: how much sensitivity of the last class females lose. follows: the share of answers that
    follow the scanner.
    """

    lost: float = 0.0
    follows: float = 0.0


TRUTHS = {
    "healthy": Truth(),
    "females lose the margin": Truth(lost=MARGIN),
    "females lose 20 points": Truth(lost=0.2),
    "females lose 30 points": Truth(lost=0.3),
    "a quarter of the answers follows the scanner": Truth(follows=0.25),
    "half of the answers follow the scanner": Truth(follows=0.5),
}
SIZES = (SMALL, "BUSI", "COVID19-CT")
AGREEMENT = 0.7
"""Share of patients whose scanner is that of their class, of as many scanners as classes."""
N_DECADES = 6


def simulated(of: Set, truth: Truth, rng: np.random.Generator) -> list[str]:
    """What is named in one run."""
    labels, groups = of.rows()
    k, n_groups = len(of.classes), int(groups.max()) + 1
    own = np.zeros(n_groups, dtype=np.int64)
    own[groups] = labels
    females = rng.integers(0, 2, n_groups)[groups] == 0
    scanner = np.where(rng.random(n_groups) < AGREEMENT, own, (own + rng.integers(1, k, n_groups)) % k)[groups]
    decade = rng.integers(0, N_DECADES, n_groups)[groups]
    recall = np.where(females & (labels == k - 1), RECALL - truth.lost, RECALL)
    answers = read(labels, drawn(groups, rng) < recall, k, rng)
    answers = np.where(drawn(groups, rng) < truth.follows, scanner, answers)
    places = {"answer": answers}
    asked = Read(labels, groups, list(of.classes), places, int(rng.integers(2**31)))
    strata = {
        "sex": Strata(values=["female", "male"], codes=np.where(females, 0, 1).tolist()),
        "scanner": Strata(values=[str(s) for s in range(k)], codes=scanner.tolist()),
        "age": Strata(values=[f"{10 * d + 20}-{10 * d + 29}" for d in range(N_DECADES)], codes=decade.tolist()),
    }
    compared = {name: compare(asked, found, MARGIN) for name, found in strata.items()}
    judged = judge(compared.values())
    told = [n for n, c in compared.items() if c.shortcut is not None and judged[c.shortcut]["verdict"] == "fail"]
    return told + [
        f"{name} {strata[name].values[code]}"
        for name, one in compared.items()
        for code, gaps in one.gaps.items()
        if any(judged[gap]["verdict"] == "fail" for gap in gaps)
    ]


def counted(of: Set, truth: Truth, runs: int) -> dict[str, int]:
    """Runs in which what is true is named, and runs in which anything else is.

    A scanner that answers follow makes the sensitivities of its strata differ in truth, so only another attribute is
    false there.
    """
    right, false = 0, 0
    for run in range(runs):
        told = simulated(of, truth, np.random.default_rng([31, run]))
        over = truth.lost > MARGIN
        right += ("sex female" in told and over) or ("scanner" in told and truth.follows > 0)
        false += any(
            not (one == "sex female" and over) and not (one.startswith("scanner") and truth.follows) for one in told
        )
    return {"named": int(right), "false": int(false)}


def study(bases: Path, work: Path, runs: int, limit: int | None) -> dict[str, Any]:
    mine = chosen(cells(), limit=limit)
    rows = Rows(work, "subgroups", Cell.__dataclass_fields__)
    rows.fill(mine, lambda cell: diagnosed(cell, bases, work))
    simulations = Rows(work, "simulations", ("set", "truth", "runs"))
    asked = simulations_asked(runs)
    simulations.fill(asked, lambda one: one | counted(SETS[one["set"]], TRUTHS[one["truth"]], one["runs"]))
    return {"margin": MARGIN, "trained": TRAINED, "rows": rows.of(mine), "simulated": simulations.of(asked)}


def simulations_asked(runs: int) -> list[dict[str, Any]]:
    """Set, truth and runs of each row; what is not healthy is asked a quarter as often."""
    return [
        {"set": size, "truth": name, "runs": runs if name == "healthy" else max(runs // 4, 1)}
        for size in SIZES
        for name in TRUTHS
    ]


def train(bases: Path) -> None:
    """Train the checkpoints that are not there, by the repository's command."""
    from medprobe.fixtures.phantoms.train import main as command

    for name, how in TRAINED.items():
        if not (bases / name / "training.json").exists():
            given = [part for key, value in how.items() for part in (f"--{key.replace('_', '-')}", str(value))]
            command(["--out", str(bases / name), *given])


def page(found: dict[str, Any]) -> str:
    planted = "\n".join(_planted(name, [row for row in found["rows"] if kind(row) == name]) for name in KINDS)
    simulated_ = "\n".join(
        f"| {row['truth']} | {row['set']} | {row['runs']} | {_named(row)} | {100 * row['false'] / row['runs']:.1f}% "
        f"({_interval(row['false'], row['runs'])}) |"
        for row in found["simulated"]
    )
    healthy = [row for row in found["simulated"] if row["truth"] == "healthy"]
    false, runs = (sum(row[key] for row in healthy) for key in ("false", "runs"))
    trained = "\n".join(
        f"    python -m medprobe.fixtures.phantoms.train --out BASES/{name} "
        + " ".join(f"--{key.replace('_', '-')} {value:.4g}" for key, value in how.items())
        for name, how in found["trained"].items()
    )
    return f"""# Strata: what is named

    python -m benchmarks.subgroups --bases BASES --work DIR

All numbers are in [benchmarks/results/subgroups.json](../../benchmarks/results/subgroups.json). The margin is
{100 * found["margin"]:g} points, as built in. [What is judged](../guides/subgroups.md).

## Trained phantoms

{N_PATIENTS} patients of four images, drawn with a scanner, a sex and an age. The scanner and the sex are marked in
the picture. The seeds of images and checkpoints were not used while the rules were built. The second checkpoint was
trained where 97 of 100 patients have the scanner of their class, so that it learnt the mark. The one-sex fault shows
pictures of female patients grey and flat to a sound model (`{FAULT}`).

{trained}

| what is planted | sets | found as planted | anything else named | answer, points | scanner readable at the LLM's end |
|---|---|---|---|---|---|
{planted}

## Simulated answers

Each class is read rightly in {100 * RECALL:g} percent, and half of a patient's images share what decides it. Three
attributes: sex, as many scanners as classes ({100 * AGREEMENT:g} percent of patients have that of their class), and
{N_DECADES} decades of age. *Named*: runs in which the planted stratum, or the scanner as a shortcut, is named. *False*:
runs in which anything else is. A loss of exactly the margin is none.

Of {runs} runs with healthy strata {false} name one ({_interval(false, runs)}); the aim is at most 5 percent.

| truth | set | runs | named | false |
|---|---|---|---|---|
{simulated_}

**What this is not.** The drawn marks are easy to read, and the planted faults are large. Whether a model's errors
follow patients as the simulated ones do is not known.
"""


def _planted(name: str, rows: list[dict[str, Any]]) -> str:
    planted = KINDS[name][3]
    right = sum(planted in row["named"] for row in rows) if planted else None
    mark = planted.split()[0] if planted else ""
    other = sum(any(not (mark and one.startswith(mark)) for one in row["named"]) for row in rows)
    answers = ", ".join(f"{100 * row['answer']:.1f}" for row in rows)
    scanner = ", ".join(f"{100 * row['readable']['scanner']['llm']:.1f}" for row in rows)
    found = "-" if right is None else f"{right} of {len(rows)}"
    return f"| {name} | {len(rows)} | {found} | {other} of {len(rows)} | {answers} | {scanner} |"


def _named(row: dict[str, Any]) -> str:
    truth = TRUTHS[row["truth"]]
    return "-" if truth.lost <= MARGIN and not truth.follows else f"{100 * row['named'] / row['runs']:.1f}%"


def _interval(hits: int, runs: int) -> str:
    low, high = (100 * bound for bound in wilson(hits, runs))
    return f"{low:.1f} to {high:.1f}%"


STUDY = Study("subgroups", page)


def main() -> None:
    parser = STUDY.parser(__doc__, "--bases", "--work", "--limit", "--out")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--train", action="store_true", help="train the checkpoints that BASES lacks")
    given = parser.parse_args()
    if given.train:
        train(given.bases)
    STUDY.publish(study(given.bases, given.work, given.runs, given.limit), given.out)


if __name__ == "__main__":
    main()
