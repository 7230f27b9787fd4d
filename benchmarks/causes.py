"""The cause matrix: faults planted in one checkpoint, the module that swapping with another names.

    python -m benchmarks.causes --bases DIR --work DIR [--limit N]

Every folder of --bases is a trained checkpoint named FAMILY-SEED. A row is one pair of checkpoints, kept in --work.
Writes benchmarks/results/causes.json and docs/studies/causes.md; with --limit it prints the page of these rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.detection import SHIFTS
from benchmarks.study import Rows, Study, model, quiet, trained, wilson
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

N_PATIENTS, IMAGES_PER_PATIENT, IMAGE_SEED = 60, 2, 31
MODULES = ("vision", "connector", "llm", "answer")
PLACES = ("input", *MODULES)
"""What may be named."""
NOTHING = "none"
CO_ADAPTED = "healthy.permuted_channels#1"
"""Tower and connector changed together: each works only with its own partner. Of another seed than the faults, whose
tower would else be the same.
"""

KINDS: dict[str, tuple[tuple[str | None, str | None], ...]] = {
    "destroyed": tuple((fault, None) for fault in MODULES),
    "shifted": tuple((fault, None) for fault in SHIFTS),
    "co-adapted": tuple(
        (fault, CO_ADAPTED)
        for fault in ("vision.permuted", "connector.rotated", "llm.deaf", "llm.flipped_signs", "answer.swapped_words")
    ),
    "no fault": ((None, None), (CO_ADAPTED, None), (None, CO_ADAPTED), ("healthy.own_head", None)),
}
"""Pairs of a fault in the model and an edit of the second checkpoint, both of one base."""
OTHER_SEED = (None, *MODULES, "answer.swapped_words")
"""Faults in a model whose second checkpoint is another base."""
SAYS = {
    "destroyed": "information destroyed in one module, against the healthy base",
    "shifted": "a representation shifted so that probes still read it, against the healthy base",
    "co-adapted": "a fault, against a twin whose tower and connector fit only each other: a tower or connector swapped "
    "alone need not give anything back, and naming nothing is no error",
    "no fault": "no fault in either: identical, equal by construction, or a head untied",
    "other seed": "a model, healthy or with a fault, against a healthy base trained from another seed: no module of "
    "one fits the other, and naming nothing is no error",
}


@dataclass(frozen=True)
class Pair:
    kind: str
    base: str
    planted: str | None
    against_base: str
    against: str | None

    @property
    def module(self) -> str:
        """The module that may be named."""
        stage = (self.planted or "").partition(".")[0]
        return stage if stage in MODULES else NOTHING


def pairs(bases: list[str]) -> Iterator[Pair]:
    """All rows, the first of every kind first, so that a few of them already show every kind."""
    made = [
        [Pair(kind, base, planted, base, against) for base in bases for planted, against in listed]
        for kind, listed in KINDS.items()
    ]
    families: dict[str, list[str]] = {}
    for base in bases:
        families.setdefault(base.rsplit("-", 1)[0], []).append(base)
    neighbours = [(own[i - 1], own[i]) for own in families.values() if len(own) > 1 for i in range(len(own))]
    made.append([Pair("other seed", one, fault, other, None) for one, other in neighbours for fault in OTHER_SEED])
    for i in range(max(map(len, made))):
        yield from (rows[i] for rows in made if i < len(rows))


def run(pair: Pair, bases: Path, manifest: Path, store: Path) -> dict[str, Any]:
    """One row; a fault that the base has no place for is a row that says so in `cannot`."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.phantoms.faults import FaultError

    settings = Settings(store=store, against=model(pair.against_base, bases, pair.against))
    on_demand = ModelOnDemand(model(pair.base, bases, pair.planted), settings)
    try:
        on_demand.load()
    except FaultError as error:
        return {**asdict(pair), "cannot": str(error)}
    found, _ = diagnose(on_demand, "phantom", lambda: manifest, quiet)
    cause = found.cause
    return {
        **asdict(pair),
        "module": pair.module,
        "named": None if cause is None else cause.module or NOTHING,
        "reason": cause and cause.reason,
        "layer": cause and cause.layer,
        "difference": cause and cause.difference,
        "difference_ci": cause and cause.difference_ci,
        "effects": cause and cause.effects and {k: round(v, 3) for k, v in cause.effects.model_dump().items()},
        "probes": found.primary_failure_mode,
        "error": found.error,
    }


def rate(hits: int, n: int) -> str:
    """`17 of 20, 0.85 (0.64 to 0.95)`: Wilson's 95 percent interval."""
    if n == 0:
        return "nothing to name"
    low, high = wilson(hits, n)
    return f"{hits} of {n}, {hits / n:.2f} ({low:.2f} to {high:.2f})"


def page(found: Mapping[str, Any]) -> str:
    """The tables, as text."""
    from medprobe.diagnostics.records.chain import FAILURE_MODES

    rows = found["runs"]
    planted = [row for row in rows if "cannot" not in row]
    done = [row for row in planted if row["error"] is None]
    lines = [
        "# The cause matrix",
        "",
        "Which module `--against` names where one was planted: `python -m benchmarks.causes --bases DIR --work DIR`.",
        f"{len(done)} pairs of checkpoints from {len({row['base'] for row in done})} trained bases, "
        f"{found['n_images']} phantom images each; {len(rows) - len(planted)} further faults cannot be planted in "
        f"their base, and {len(planted) - len(done)} diagnoses ended in an error. Intervals are Wilson's, 95 percent; "
        "runs on one base are not independent, so they are narrower than they should be.",
        "",
        "`M0 better`: the second checkpoint is better beyond the interval, so that there is something to name. Of "
        "those, `right` is how often swapping names the planted module, and `by probes` how often the primary failure "
        "mode does. `wrong`, of all pairs: swapping names another module.",
        "",
        "| pairs | n | M0 better | right | by probes | wrong |",
        "|---|---|---|---|---|---|",
    ]
    for kind in SAYS:
        own = [row for row in done if row["kind"] == kind]
        better = [row for row in own if row["difference_ci"][0] > 0]
        planted = [row for row in better if row["module"] != NOTHING]
        right = rate(sum(row["named"] == row["module"] for row in planted), len(planted))
        probes = rate(sum(row["probes"] == FAILURE_MODES[row["module"]] for row in planted), len(planted))
        wrong = rate(sum(row["named"] not in (row["module"], NOTHING) for row in own), len(own))
        lines.append(f"| {kind} | {len(own)} | {len(better)} | {right} | {probes} | {wrong} |")
    lines += ["", *(f"* {kind}: {says}." for kind, says in SAYS.items())]
    lines += ["", "## Planted against named", "", f"| planted | {' | '.join((*PLACES, NOTHING))} |"]
    lines += ["|---" * (len(PLACES) + 2) + "|"]
    for module in (*MODULES, NOTHING):
        counts = [
            sum(row["module"] == module and row["named"] == named for row in done) for named in (*PLACES, NOTHING)
        ]
        lines.append(f"| {module} | {' | '.join(map(str, counts))} |")
    lines += ["", "## By mechanism", "", "| pairs | planted | second checkpoint | named | why nothing is named |"]
    lines += ["|---|---|---|---|---|"]
    by_mechanism: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in done:
        second = row["against"] or ("healthy" if row["base"] == row["against_base"] else "other seed")
        by_mechanism.setdefault((row["kind"], row["planted"] or "healthy", second), []).append(row)
    for (kind, fault, second), own in by_mechanism.items():
        names = [f"{named} {n}" for named in (*PLACES, NOTHING) if (n := sum(row["named"] == named for row in own))]
        whys = sorted({row["reason"].split(":")[0] for row in own if row["named"] == NOTHING})
        lines.append(f"| {kind} | {fault} | {second} | {', '.join(names)} | {'; '.join(whys)} |")
    return "\n".join(lines) + "\n"


STUDY = Study("causes", page)


def main() -> None:
    from medprobe.fixtures.phantoms.images import draw_dataset

    parser = STUDY.parser(__doc__, "--bases", "--work", "--limit")
    parser.add_argument("--seeds", help="only bases of these seeds, as 1,2")
    given = parser.parse_args()
    bases = [
        base
        for base in trained(given.bases)
        if given.seeds is None or base.rpartition("-")[2] in given.seeds.split(",")
    ]
    cells = list(pairs(bases))[: given.limit]
    rows = Rows(given.work, "causes", Pair.__dataclass_fields__)
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        manifest = draw_dataset(Path(folder), N_PATIENTS, IMAGES_PER_PATIENT, IMAGE_SEED)
        rows.fill(cells, partial(run, bases=given.bases, manifest=manifest, store=given.work / "store"))
    found = {"n_images": N_PATIENTS * IMAGES_PER_PATIENT, "runs": rows.of(cells)}
    if given.limit is None:
        STUDY.publish(found)
    else:
        print(page(found))


if __name__ == "__main__":
    main()
