"""The detection matrix: what was planted against what is diagnosed.

    python -m benchmarks.detection --bases DIR --work DIR [--shard 1/2] [--limit N] [--engine ray]

`--bases` holds checkpoints FAMILY-SEED, each trained by `python -m medprobe.fixtures.phantoms.train --out
DIR/FAMILY-SEED --family FAMILY --seed SEED`, and FAMILY-SEED-pair, by the same with `--pair-of DIR/FAMILY-SEED
--text-steps 100`. Rows are kept in --work; shards may run side by side, or cells as the tasks of a Ray cluster whose
nodes see both folders. A run that finds the whole design done writes benchmarks/results/detection.json,
docs/studies/detection.md and docs/studies/detection.svg.

A cell runs what decides a verdict: every locus, the exits chosen inside the folds, the permutation null and the
judgement. Floors, the twin and other wordings decide nothing and are left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import n_loci, severity
from benchmarks.study import STUDIES, Rows, Study, chosen, images, model, quiet, trained, wilson
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models.load_options import LoadOptions

BUILDING = ("llava-1", "gemma3-1")
"""Checkpoints that were looked at while mechanisms and rules were built."""
PAIR = "-pair"
"""Ends the name of a base whose tower and connector were trained further together: FAMILY-SEED-pair."""
IMAGE_SEEDS = (7001, 7002, 7003, 7004)
"""Sets of images that nothing was built on."""
N_PATIENTS, IMAGES_PER_PATIENT = 60, 4

DESTROYS = {
    "vision": ("blind", "drowned"),
    "connector": ("muted", "deaf", "dead_units"),
    "llm": ("deaf", "empty_values", "silent"),
    "answer": ("constant", "mute", "equal_words"),
}
DEGRADES = (
    "vision.noise",
    "vision.low_rank",
    "connector.dropped_channels",
    "connector.low_rank",
    "llm.hard_of_hearing",
    "llm.dropped_inputs",
    "answer.mixed",
    "answer.low_rank",
)
KNOBS = (0.25, 0.5, 0.75, 1.0)
SHIFTS = (
    "vision.permuted",
    "connector.rotated",
    "connector.permuted",
    "connector.offset",
    "connector.squeezed",
    "llm.flipped_signs",
    "llm.stretched",
    "answer.swapped_words",
    "answer.biased",
    "answer.permuted",
)
TWINS = ("permuted_channels", "pruned_heads", "rescaled", "own_head", "rounded")


@dataclass(frozen=True)
class Cell:
    """One run: a base checkpoint, what is planted in it, and how it is run."""

    base: str
    kind: str
    fault: str | None
    image_seed: int
    dtype: str | None = None
    batch_size: int = 16

    @property
    def stage(self) -> str | None:
        """The stage that is struck, if one is."""
        return None if self.kind == "healthy" or self.fault is None else self.fault.partition(".")[0]


def design(bases: Sequence[str]) -> list[Cell]:
    """Every pair on two image sets; every other base healthy in nine ways, with two of each stage's destroying
    mechanisms and half of the shifting ones, taken in turn over the bases; the degrading ones on the shipped phantom,
    whose severities are measured.
    """
    cells = [Cell(pair, "healthy", None, seed) for pair in bases if pair.endswith(PAIR) for seed in IMAGE_SEEDS[:2]]
    for i, base in enumerate(base for base in bases if not base.endswith(PAIR)):

        def seed(j: int, i: int = i) -> int:
            return IMAGE_SEEDS[(i + j) % len(IMAGE_SEEDS)]

        cells += [Cell(base, "healthy", None, seed(j)) for j in range(2)]
        cells += [Cell(base, "healthy", f"healthy.{twin}", seed(j + 2)) for j, twin in enumerate(TWINS)]
        cells += [
            Cell(base, "healthy", None, seed(2), dtype="bfloat16"),
            Cell(base, "healthy", None, seed(3), batch_size=5),
        ]
        for stage, names in DESTROYS.items():
            for j in range(2):
                cells.append(Cell(base, "destroys", f"{stage}.{names[(i + j) % len(names)]}", seed(j)))
        cells += [Cell(base, "shifts", name, seed(j)) for j, name in enumerate(SHIFTS) if (i + j) % 2 == 0]
    for name in DEGRADES:
        for knob in KNOBS:
            fault = name if knob == 1 else f"{name}@{knob}"
            cells += [Cell("phantom", "degrades", fault, seed) for seed in IMAGE_SEEDS[:2]]
    return cells


def run(cell: Cell, bases: Path, work: Path) -> dict[str, Any]:
    """Diagnose one cell; a mechanism that this model has no place for is a row of its own kind."""
    from medprobe.diagnostics.controls import null
    from medprobe.diagnostics.diagnosis import judgement_of
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.records.chain import FAILURE_MODES
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.phantoms.faults import FaultError

    spec = model(cell.base, bases, cell.fault)
    settings = Settings(store=work / "store", load=LoadOptions(dtype=cell.dtype), batch_size=cell.batch_size)
    started = time.perf_counter()
    try:
        evidence = gather(ModelOnDemand(spec, settings), open_dataset(image_set(work, cell.image_seed), None), quiet)
    except FaultError as error:
        return asdict(cell) | {"cannot": str(error)}
    p = null.of_reference(evidence).p
    judged = judgement_of(evidence, p)
    return asdict(cell) | {
        "expected": None if cell.stage is None else FAILURE_MODES[cell.stage],  # type: ignore[index]
        "verdict": judged.verdict,
        "primary": judged.primary,
        "tied": judged.tied,
        "links": {stage: link.verdict for stage, link in judged.links.items()},
        "signal": {place: round(value, 3) for place, value in judged.signal.items()},
        "null_p": p,
        "places": {place: encoded(values) for place, values in evidence.predictions.items()},
        "n_loci": len(evidence.readings),
        "seconds": round(time.perf_counter() - started, 1),
    }


def results(cells: Sequence[Cell], bases: Path, work: Path, engine: str) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Every cell with its row, in the order in which they end; a cell whose node is lost is run again on another."""
    if engine == "local":
        yield from ((cell, run(cell, bases, work)) for cell in cells)
        return
    from medprobe.diagnostics.extraction.ray_tasks import spread

    yield from spread((cell, partial(run, cell, bases, work)) for cell in cells)


def encoded(predictions: Any) -> str:
    """A sign an image: the class read, `-` for none."""
    return "".join("-" if value < 0 else str(value) for value in predictions)


def decoded(signs: str) -> Any:
    return np.array([-1 if sign == "-" else int(sign) for sign in signs])


def truth(seed: int, work: Path) -> dict[str, list[int]]:
    """Labels and patients of an image set, in the order of the predictions."""
    from medprobe.fixtures.datasets.dataset import open_dataset

    dataset = open_dataset(image_set(work, seed), None)
    return {"labels": dataset.labels(), "groups": dataset.groups()}


def repeated(row: dict[str, Any], images: dict[str, list[int]]) -> dict[str, Any]:
    """The row's verdict, primary failure mode and links, worked out again from its predictions."""
    from medprobe.diagnostics.judgement.resamples import Resamples
    from medprobe.diagnostics.judgement.verdicts import judge
    from medprobe.diagnostics.thresholds import load_thresholds

    labels, groups = np.array(images["labels"]), np.array(images["groups"])
    k = int(labels.max()) + 1
    places = {place: decoded(signs) for place, signs in row["places"].items()}
    judged = judge(
        labels,
        places,
        load_thresholds().resolve(row["base"], "phantom"),
        Resamples(labels, groups, k, 0),
        k,
        row["null_p"],
    )
    links = {stage: link.verdict for stage, link in judged.links.items()}
    return {"verdict": judged.verdict, "primary": judged.primary, "tied": judged.tied, "links": links}


def image_set(work: Path, seed: int) -> Path:
    return images(work / f"images-{seed}", N_PATIENTS, IMAGES_PER_PATIENT, seed)


def clustered(hits: Sequence[bool], bases: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """95 percent interval of a rate over 5,000 resamples of whole base checkpoints."""
    names = sorted(set(bases))
    count = np.array([[sum(b == name for b in bases), sum(h for h, b in zip(hits, bases, strict=True) if b == name)]
                      for name in names])  # fmt: skip
    drawn = np.random.default_rng(seed).integers(0, len(names), (5000, len(names)))
    total = count[drawn].sum(axis=1)
    low, high = np.quantile(total[:, 1] / total[:, 0], [0.025, 0.975])
    return float(low), float(high)


def rate(rows: Sequence[dict[str, Any]], hit: Any) -> dict[str, Any]:
    """How often `hit(row)`, with the interval of independent runs and that over base checkpoints."""
    hits = [bool(hit(row)) for row in rows]
    bases = [row["base"].removesuffix(PAIR) for row in rows]
    return {
        "n_hits": sum(hits),
        "n_runs": len(rows),
        "n_bases": len(set(bases)),
        "wilson": wilson(sum(hits), len(rows)),
        "clustered": clustered(hits, bases),
    }


def named_right(row: dict[str, Any]) -> bool:
    return bool(row["primary"] == row["expected"])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ran = [row for row in rows if "cannot" not in row]
    healthy = [row for row in ran if row["kind"] == "healthy"]
    destroyed = [row for row in ran if row["kind"] == "destroys"]
    return {
        "healthy_failed": rate(healthy, lambda row: row["verdict"] == "fail"),
        "healthy_passed": rate(healthy, lambda row: row["verdict"] == "pass"),
        "destroyed_named_right": rate(destroyed, named_right),
        "destroyed_by_stage": {
            stage: rate([row for row in destroyed if row["fault"].startswith(stage)], named_right) for stage in DESTROYS
        },
        "cannot_be_planted": sum("cannot" in row for row in rows),
    }


def _said(row: dict[str, Any]) -> str:
    if row["primary"]:
        return str(row["primary"])
    return "tied" if row["tied"] else str(row["verdict"])


def confusion(rows: Sequence[dict[str, Any]], kind: str) -> Iterator[str]:
    from medprobe.diagnostics.records.chain import FAILURE_MODES

    said = [*FAILURE_MODES.values(), "tied", "inconclusive", "pass"]
    yield "| planted | " + " | ".join(name.replace("_", " ") for name in said) + " |"
    yield "|---" * (len(said) + 1) + "|"
    ran = [row for row in rows if "cannot" not in row and row["kind"] == kind]
    for fault in dict.fromkeys(
        row["fault"] for row in sorted(ran, key=lambda row: list(DESTROYS).index(row["fault"].split(".")[0]))
    ):
        found = [_said(row) for row in ran if row["fault"] == fault]
        yield f"| {fault} | " + " | ".join(str(found.count(name) or "") for name in said) + " |"


def doses(rows: Sequence[dict[str, Any]], measured: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield (
        "| fault | severity | answered | runs | named right | other failure | inconclusive | pass | "
        "signal before and after |"
    )
    yield "|---" * 9 + "|"
    ran = [row for row in rows if row["kind"] == "degrades" and "cannot" not in row]
    for fault in dict.fromkeys(row["fault"] for row in ran):
        found = [row for row in ran if row["fault"] == fault]
        stage = fault.split(".")[0]
        places = list(found[0]["signal"])
        before = places[places.index(stage) - 1]
        other = sum(row["verdict"] == "fail" and not named_right(row) for row in found)
        levels = " and ".join(
            f"{100 * np.mean([row['signal'][place] for row in found]):.0f}" for place in (before, stage)
        )
        fresh = measured[fault]
        yield (
            f"| {fault} | {fresh['severity']:.2f} | {100 * fresh['answered'][1]:.0f} | {len(found)} | "
            f"{sum(map(named_right, found))} | {other} | {sum(row['verdict'] == 'inconclusive' for row in found)} | "
            f"{sum(row['verdict'] == 'pass' for row in found)} | {levels} |"
        )


PAGE = """\
# The detection matrix

What was planted against what is diagnosed, on {n_bases} small models that were trained from scratch (seeds and families
in the table of runs, `benchmarks/results/detection.json`), {n_images} phantom images a run. Checkpoints and image sets
are not those that mechanisms and rules were built on. Made by

    python -m benchmarks.detection --bases DIR --work DIR

| rate | runs | bases | found | 95% of independent runs | 95% over bases |
|---|---|---|---|---|---|
{rates}

*Healthy twins* are the bases as trained, on two image sets, and edits after which everything is understood as before:
{further}channels of the tower permuted and undone in the connector, an idle head
added, a linear pair rescaled, an untied copy of the head, weights rounded to bfloat16, bfloat16 arithmetic, another
batch size. *Named right* means that the primary
failure mode is that of the struck stage. Bases of one family share more than chance would have it, and images are
shared between runs; the interval over bases resamples whole bases, and says nothing where no run went wrong.
{n_cannot} cells could not be planted (a connector of one layer has no units to kill, and the like).

![Share of runs by what was diagnosed, for each planted fault](detection.svg)

## Information destroyed

{destroyed}

## Information degraded

On the shipped phantom, two image sets each. *Severity* is the share of the signal that stronger readers on fresh
images no longer find, *answered* the signal of the likeliest option there, 92 in the healthy model
([severity.md](severity.md)); the knob says how much is planted, not how much is lost. A link is allowed to lose a fifth
(a quarter at the tower), so mild damage passes by right; where severity is low and few answers are right, the signal is
there and not understood.

{degraded}

## Readable, but not understood

Here the struck module still hands on what a probe can read, and the next one does not understand it: the probes blame a
later link, or none. This is what a probe cannot tell, and what `--against` is for ([causes.md](causes.md)).

{shifted}

## Number of loci

{loci}
"""


def page(found: Mapping[str, Any]) -> str:
    """The page, with the severities of `severity` and the chains of `n_loci`."""
    rows, rates = found["runs"], found["summary"]
    severities = {row["fault"]: row for row in severity.STUDY.found()["rows"]}

    def line(name: str, cell: dict[str, Any]) -> str:
        low, high = (f"{100 * x:.1f}" for x in cell["wilson"])
        by_low, by_high = (f"{100 * x:.1f}" for x in cell["clustered"])
        share = 100 * cell["n_hits"] / cell["n_runs"]
        return (
            f"| {name} | {cell['n_runs']} | {cell['n_bases']} | {cell['n_hits']} ({share:.1f}%) | {low} to {high} | "
            f"{by_low} to {by_high} |"
        )

    lines = [
        line("healthy twins failed (aim: at most 5%)", rates["healthy_failed"]),
        line("healthy twins passed", rates["healthy_passed"]),
        line("destroying faults named right (aim: at least 95%)", rates["destroyed_named_right"]),
        *(line(f"... struck at {stage}", cell) for stage, cell in rates["destroyed_by_stage"].items()),
    ]
    return PAGE.format(
        n_bases=rates["healthy_failed"]["n_bases"],
        n_images=N_PATIENTS * IMAGES_PER_PATIENT,
        rates="\n".join(lines),
        further="tower and connector trained further together, " if any(PAIR in row["base"] for row in rows) else "",
        n_cannot=rates["cannot_be_planted"],
        destroyed="\n".join(confusion(rows, "destroys")),
        degraded="\n".join(doses(rows, severities)),
        shifted="\n".join(confusion(rows, "shifts")),
        loci=n_loci.section(n_loci.STUDY.found()["cells"]),
    )


def picture(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """A bar a planted fault, its runs by what was diagnosed."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from medprobe.plugins.report.pictures.svg import STYLE, svg_text

    ran = [row for row in rows if "cannot" not in row]

    def group(row: dict[str, Any]) -> str:
        if row["kind"] == "healthy":
            how = row["dtype"] or (f"batch {row['batch_size']}" if row["batch_size"] != 16 else "as trained")
            return f"healthy: {(row['fault'] or how).removeprefix('healthy.').replace('_', ' ')}"
        return f"{row['kind']}: {row['fault'].replace('_', ' ')}"

    def outcome(row: dict[str, Any]) -> str:
        if row["verdict"] != "fail":
            return str(row["verdict"])
        return "fail, as planted" if named_right(row) and row["kind"] != "healthy" else "fail, otherwise"

    colours = {
        "pass": "#009e73",
        "inconclusive": "#c9c9c9",
        "fail, as planted": "#0072b2",
        "fail, otherwise": "#e69f00",
    }
    kinds = ("healthy", "destroys", "degrades", "shifts")
    names = sorted({group(row) for row in ran}, key=lambda name: (kinds.index(name.split(":")[0]), name))
    with rc_context(STYLE):
        figure = Figure(figsize=(9.6, 0.21 * len(names) + 1.1))
        axes = figure.subplots()
    left = np.zeros(len(names))
    for said, colour in colours.items():
        share = np.array([np.mean([outcome(row) == said for row in ran if group(row) == name]) for name in names])
        axes.barh(range(len(names)), share, left=left, color=colour, label=said, height=0.8)
        left += share
    counts = [sum(group(row) == name for row in ran) for name in names]
    axes.set_yticks(range(len(names)), [f"{name} ({n})" for name, n in zip(names, counts, strict=True)], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.margins(y=0.01)
    axes.set_xlabel("share of runs")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0), frameon=False, fontsize=8)
    figure.tight_layout()
    with rc_context(STYLE):
        path.write_text(svg_text(figure))


STUDY = Study("detection", page)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = STUDY.parser(__doc__, "--bases", "--work", "--shard", "--limit")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where cells run (default: local)")
    given = parser.parse_args(arguments)
    bases, work = given.bases.resolve(), given.work.resolve()
    cells = design([base for base in trained(bases) if base not in BUILDING])
    rows = Rows(work, "detection", Cell.__dataclass_fields__, given.shard[0])
    for _, row in results(rows.missing(chosen(cells, given.shard, given.limit)), bases, work, given.engine):
        rows.add(row)
    made = rows.of(cells)
    if made is not None:
        write(made, {seed: truth(seed, work) for seed in IMAGE_SEEDS})


def write(rows: Sequence[dict[str, Any]], sets: dict[int, dict[str, list[int]]]) -> None:
    """The data, the page and the picture."""
    STUDY.publish({"summary": summary(rows), "images": sets, "runs": rows})
    picture(rows, STUDIES / "detection.svg")


if __name__ == "__main__":
    main()
