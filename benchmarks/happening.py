"""Faults as they happen in releases, and what a diagnosis says of them.

    python -m benchmarks.happening --bases DIR --work DIR [--chest DIR --data-root DATA] [--shard 1/2] [--limit N]
    python -m benchmarks.happening --bases DIR --work DIR --costs

`--bases` holds checkpoints FAMILY-SEED, each trained by `python -m medprobe.fixtures.phantoms.train --out
DIR/FAMILY-SEED --family FAMILY --seed SEED` (some with `--turn colon`); `--chest` checkpoints FAMILY, each trained by
the same command with `--views 3 --data-root DATA --dataset benchmarks/chest-xray-train.toml --held-out
benchmarks/chest-xray-held-out.toml`. `--costs` measures what each mechanism costs on each base, without a diagnosis;
without it, each cell of the design, which takes the faults that cost enough, is diagnosed alone and against the healthy
base. Rows are kept in --work. Writes benchmarks/results/happening.json and docs/studies/happening.md once the whole
design is done.

Floors, the twin and other wordings decide nothing of what is asked here and are left out.
"""

from __future__ import annotations

import copy
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from benchmarks.study import HERE, Rows, Study, chosen, images, model, quiet, trained, wilson
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

if TYPE_CHECKING:
    from medprobe.fixtures.models.registry import ModelSpec

BUILDING_BASES = ("phantom", "llava-1", "gemma3-1")
"""Checkpoints that may be looked at while rules are built."""
BUILDING = frozenset(
    f"input.{name}"
    for name in (
        "mean_offset",
        "clip_numbers",
        "halves",
        "not_normalised",
        "not_rescaled",
        "inverted_greys",
        "cropped",
        "earlier_layer",
        "coarser_pooling",
        "rotary_base",
        "no_generation_prompt",
        "system_line",
        "trailing_space",
    )
) | {
    "llm.forgotten",
    "llm.damped_attention",
    "connector.rotated",
    "answer.swapped_words",
    "healthy.template_comment",
    "healthy.resample",
    "healthy.rounded_mean",
    "healthy.permuted_channels",
}
"""Mechanisms that may be looked at while rules are built; every other one is held out. Chosen before any was measured.
"""

CHEST = "chest-"
"""Begins the name of a base that was trained on radiographs."""
GONE = ("input.cropped", "input.coarse", "input.windowed")
"""Faults that take from a picture what no setting gives back: its border, its detail, its greys beyond a window."""
ALTERED = (
    *("input.inverted_greys", "input.swapped_channels", "input.cropped", "input.coarse", "input.letterboxed"),
    *("input.turned", "input.dark", "input.windowed"),
)
"""Faults of the input that are done to pictures before the processor has them; every other one is a setting of the
processor, the template, the tokenizer, decoding or the configuration.
"""
IMAGE_SEED = 9101
"""Of phantom images that nothing was built on."""
N_PATIENTS, IMAGES_PER_PATIENT = 60, 2
N_RADIOGRAPHS = 200
COSTLY = 0.2
"""Signal: a fault that takes more of what is said, or of the likeliest option, than this is to be found."""
AGREE = 0.03
"""Signal by which the likeliest option and the text may differ on a healthy base."""

KNOBS = {
    "input.mean_offset": (1.0, 0.5),
    "input.wide_deviation": (1.0, 0.5),
    "input.narrow_deviation": (1.0, 0.5),
    "input.centre_crop": (1.0, 0.5),
    "input.cropped": (1.0, 0.5),
    "input.dark": (1.0, 0.5),
    "input.windowed": (1.0, 0.75),
    "llm.forgotten": (1.0, 0.5),
    "llm.damped_attention": (1.0, 0.5),
    "vision.merged_adapter": (0.5,),
    "connector.merged_adapter": (0.5,),
    "llm.merged_adapter": (0.5,),
    "answer.merged_adapter": (0.5,),
}
"""At which knobs a graded mechanism is planted, where not at 1 alone."""
ONE_STRATUM = {"input.marked_flat"}
"""Faults of one stratum, which these images have not; benchmarks/subgroups.py plants them."""
OLD = (
    "vision.permuted",
    "connector.rotated",
    "connector.squeezed",
    "llm.flipped_signs",
    "answer.swapped_words",
    "answer.biased",
    "answer.permuted",
)
"""Faults of the modules that have been there before."""
FORGETS = (
    "llm.forgotten",
    "llm.damped_attention",
    "connector.forgotten",
    "answer.forgotten",
    "vision.merged_adapter",
    "connector.merged_adapter",
    "llm.merged_adapter",
    "answer.merged_adapter",
)
STRIDE = 3
"""A held-out mechanism is planted in every STRIDE-th of the bases where it costs enough."""
WRONG = re.compile(r"calibrat|offset for each option|tune the (llm|connector|tower)", re.IGNORECASE)
"""Advice that leads away from a fault of the input."""


@dataclass(frozen=True)
class Cell:
    """A base checkpoint and what is planted in it; kind: healthy, harmless, input, forgets or module."""

    base: str
    kind: str
    fault: str | None


@dataclass(frozen=True)
class Places:
    """Where checkpoints, images and the store are."""

    bases: Path
    work: Path
    chest: Path | None
    data_root: Path | None

    def model(self, base: str) -> ModelSpec:
        if base.startswith(CHEST):
            assert self.chest is not None
            return replace(model(base.removeprefix(CHEST), self.chest), name=base)
        return model(base, self.bases)

    def manifest(self, base: str) -> Path:
        if base.startswith(CHEST):
            return HERE / "chest-xray-held-out.toml"
        return images(self.work / f"images-{IMAGE_SEED}", N_PATIENTS, IMAGES_PER_PATIENT, IMAGE_SEED)

    def dataset(self, base: str) -> Any:
        from medprobe.fixtures.datasets.dataset import open_dataset

        chest = base.startswith(CHEST)
        return open_dataset(self.manifest(base), self.data_root, N_RADIOGRAPHS if chest else None)


def mechanism(fault: str) -> str:
    """`input.mean_offset` of `input.mean_offset@0.5#3`."""
    return re.split("[@#]", fault)[0]


def in_building(cell: Cell | dict[str, Any]) -> bool | None:
    """Whether base and mechanism may be looked at; None where only one of them may."""
    base, fault = (cell["base"], cell["fault"]) if isinstance(cell, dict) else (cell.base, cell.fault)
    known = base in BUILDING_BASES
    if fault is None or (mechanism(fault) in BUILDING) == known:
        return known
    return None


def design(bases: Sequence[str], costs: Sequence[dict[str, Any]]) -> list[Cell]:
    """Every base as it is; on bases for building the mechanisms for building, on the others those held out, each on
    every STRIDE-th of the bases where it costs enough to be found. Harmless edits likewise, where they can be planted.

    costs: the rows of `--costs`.
    """
    known = {(row["base"], row["fault"]): row for row in costs}
    cells = [Cell(base, "healthy", None) for base in bases]
    in_turn: dict[tuple[bool, str, str], list[Cell]] = {}
    for kind, fault in every_fault():
        building = mechanism(fault) in BUILDING
        for base in bases:
            row, sound = known.get((base, fault)), known.get((base, None))
            if (base in BUILDING_BASES) != building or row is None or sound is None or "cannot" in row:
                continue
            # A fault that ends the pass in an error is one to be told of, too.
            if kind == "harmless" or "error" in row or sound["said"] - row["said"] > COSTLY:
                in_turn.setdefault((building, kind, mechanism(fault)), []).append(Cell(base, kind, fault))
    for turn, ((building, kind, _), own) in enumerate(in_turn.items()):
        stride = 1 if building else 2 * STRIDE if kind == "harmless" else STRIDE
        # Mechanisms take turns at the base they begin with, so that no base has most of the cells.
        first = turn % min(stride, len(own))
        cells += own[first::stride]
    return cells


def every_fault() -> list[tuple[str, str]]:
    """(kind, fault) of every mechanism that is measured, at each of its knobs."""
    from medprobe.fixtures.phantoms.faults import MECHANISMS

    named = [
        *(("input", name) for name in MECHANISMS if name.startswith("input.") and name not in ONE_STRATUM),
        *(("forgets", name) for name in FORGETS),
        *(("module", name) for name in OLD),
        *(("harmless", name) for name in MECHANISMS if name.startswith("healthy.")),
    ]
    return [(kind, name if knob == 1 else f"{name}@{knob}") for kind, name in named for knob in KNOBS.get(name, (1.0,))]


@contextmanager
def only_what_is_asked() -> Iterator[None]:
    """Diagnose without the twin and without other wordings."""
    from medprobe.diagnostics.records.controls import Twin

    left_out = Twin(n_images=0, reason="left out", vision=None, connector=None)
    with ExitStack() as stack:
        stack.enter_context(patch("medprobe.diagnostics.controls.run.twin.run", lambda *_: left_out))
        stack.enter_context(patch("medprobe.diagnostics.last_link.reading.reversed_options", lambda *_: None))
        yield


def run(cell: Cell, places: Places) -> dict[str, Any]:
    """Diagnose one cell, alone and against the healthy base."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings

    healthy, radiographs = places.model(cell.base), cell.base.startswith(CHEST)
    settings = Settings(
        store=places.work / "store",
        data_root=places.data_root,
        max_images=N_RADIOGRAPHS if radiographs else None,
    )
    row: dict[str, Any] = asdict(cell)
    with only_what_is_asked():
        for how, asked in (("alone", settings), ("against", replace(settings, against=healthy))):
            started = time.perf_counter()
            found, _ = diagnose(
                ModelOnDemand(replace(healthy, fault=cell.fault), asked),
                "chest-xray" if radiographs else "phantom",
                lambda: places.manifest(cell.base),
                quiet,
            )
            row[how] = told(found) | {"seconds": round(time.perf_counter() - started, 1)}
    return row


def told(diagnosis: Any) -> dict[str, Any]:
    """What a diagnosis says, as plain data."""
    from medprobe.plugins.report.sections.advice import next_steps

    cause, tried = diagnosis.cause, diagnosis.counterfactuals
    advice = next_steps(diagnosis)
    return {
        "error": diagnosis.error,
        "verdict": diagnosis.verdict,
        "probes": diagnosis.primary_failure_mode,
        "said": diagnosis.answer and round(diagnosis.answer.said, 3),
        "likeliest": diagnosis.answer and round(diagnosis.answer.likeliest, 3),
        "module": cause and cause.module,
        "certain": bool(cause and cause.certain),
        "key": cause and cause.key,
        "reason": cause and cause.reason,
        "judged_on": cause and cause.judged_on,
        "difference": cause and cause.difference_ci and [round(bound, 3) for bound in cause.difference_ci],
        "counterfactual": tried and tried.named,
        "tried": tried is not None,
        "advice": advice[0].text if advice else None,
    }


def cost_rows(base: str, faults: Sequence[tuple[str, str]], places: Places) -> Iterator[dict[str, Any]]:
    """Signal of what is said and of the likeliest option under each fault, as planted in one loaded base."""
    from medprobe.fixtures.datasets.images import open_image
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.phantoms.faults import FaultError, plant

    sound = load(places.model(base))
    dataset = places.dataset(base)
    pictures = [open_image(image) for image in dataset.images]
    for kind, fault in faults:
        row = {"base": base, "kind": kind, "fault": fault or None}
        own = kind == "input" or not fault
        loaded = replace(sound, model=sound.model if own else copy.deepcopy(sound.model))
        try:
            if fault:
                plant(loaded, fault)
        except FaultError as error:
            yield row | {"cannot": str(error)}
            continue
        yield row | answered(loaded, dataset, pictures)


def answered(loaded: Any, dataset: Any, pictures: Sequence[Any]) -> dict[str, Any]:
    from medprobe.diagnostics.evidence import said_classes
    from medprobe.diagnostics.extraction.batches import Limit, read_all
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.scores import signal_of

    labels, k = np.array(dataset.labels()), len(dataset.answers)
    try:
        with Extractor(loaded, dataset.prompt, dataset.answers, max_new_tokens=8).hooked() as extractor:
            batches = list(read_all(extractor.prepare, extractor.read, pictures, Limit(60)))
    except Exception as error:  # what a fault does to a pass may be anything, and is a row
        return {"error": f"{type(error).__name__}: {error}"[:300]}

    def signal(classes: Any) -> float:
        return round(signal_of(labels, classes, k), 3)

    likeliest = np.concatenate([batch.option_log_likelihoods for batch in batches]).argmax(1)
    said = said_classes([text for batch in batches for text in batch.texts], dataset)
    return {"said": signal(said), "likeliest": signal(likeliest)}


def healthy_signals(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["base"]: row["alone"] for row in rows if row["kind"] == "healthy"}


def cost(row: dict[str, Any], healthy: dict[str, dict[str, Any]]) -> float | None:
    """Signal of what is said that the fault takes; None where it was not measured."""
    before, after = healthy.get(row["base"]), row["alone"]
    if before is None or None in (before["said"], after["said"]):
        return None
    return float(before["said"] - after["said"])


def place_of(row: dict[str, Any]) -> str | None:
    """Where the fault was planted; None where nothing was."""
    return None if row["kind"] in ("healthy", "harmless") else str(row["fault"]).partition(".")[0]


def _no_difference(told: dict[str, Any]) -> bool:
    return str(told["reason"]).startswith("no difference")


Question = tuple[str, str, Callable[[dict[str, Any]], bool], Callable[[dict[str, Any]], bool]]


def questions(healthy: dict[str, dict[str, Any]]) -> list[Question]:
    """What is counted: in words, the aim, of which rows, and when a row counts."""

    def costly(row: dict[str, Any]) -> bool:
        return place_of(row) is not None and (cost(row, healthy) or 0) > COSTLY

    def sound(row: dict[str, Any]) -> bool:
        return place_of(row) is None

    return [
        (
            "with `--against`: the right place named, of faults that cost more than 20 points",
            "at least 95%",
            costly,
            lambda row: row["against"]["module"] == place_of(row),
        ),
        (
            "with `--against`: another place named, of the same",
            "none",
            costly,
            lambda row: row["against"]["module"] not in (None, place_of(row)),
        ),
        (
            'with `--against`: "no difference", of the same',
            "none",
            costly,
            lambda row: _no_difference(row["against"]),
        ),
        (
            "with `--against`: a place named, of pairs without a fault",
            "at most 5%",
            sound,
            lambda row: row["against"]["module"] is not None,
        ),
        (
            "alone: input faults that cost more than 20 points named by a counterfactual",
            "at least 80%",
            lambda row: costly(row) and row["kind"] == "input",
            lambda row: row["alone"]["counterfactual"] is not None,
        ),
        (
            "alone: the same, of those that are a setting of processor, template, tokenizer or configuration",
            "at least 80%",
            lambda row: costly(row) and row["kind"] == "input" and not row["fault"].startswith(ALTERED),
            lambda row: row["alone"]["counterfactual"] is not None,
        ),
        (
            "alone: the same, of those whose pictures still hold what a setting can give back",
            "at least 80%",
            lambda row: costly(row) and row["kind"] == "input" and not row["fault"].startswith(GONE),
            lambda row: row["alone"]["counterfactual"] is not None,
        ),
        (
            "alone: a counterfactual named, of models without a fault",
            "at most 5%",
            sound,
            lambda row: row["alone"]["counterfactual"] is not None,
        ),
        (
            "alone: the input named, of faults in the weights that cost more than 20 points",
            "",
            lambda row: costly(row) and row["kind"] != "input",
            lambda row: row["alone"]["counterfactual"] is not None,
        ),
        (
            "alone: the answer accused as certain, of costly faults that lie before it",
            "at most 5%",
            lambda row: costly(row) and place_of(row) != "answer",
            lambda row: row["alone"]["certain"] and row["alone"]["module"] == "answer",
        ),
        (
            "alone: calibrating or tuning the LLM advised first, of costly input faults",
            "none",
            lambda row: costly(row) and row["kind"] == "input",
            lambda row: bool(WRONG.search(row["alone"]["advice"] or "")),
        ),
        (
            "healthy bases whose likeliest option and text agree to within 3 points",
            "all",
            lambda row: row["kind"] == "healthy",
            lambda row: abs((row["alone"]["likeliest"] or 0) - (row["alone"]["said"] or 0)) <= AGREE,
        ),
        (
            "`fail`, of healthy models and harmless edits",
            "none",
            sound,
            lambda row: "fail" in (row["alone"]["verdict"], row["against"]["verdict"]),
        ),
        (
            "a diagnosis that ends in an error, of all",
            "none",
            lambda row: True,
            lambda row: bool(row["alone"]["error"] or row["against"]["error"]),
        ),
    ]


def summary(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a question, with hits and runs for building, held-out and mixed cells."""
    healthy = healthy_signals(rows)
    made = []
    for text, aim, among, hit in questions(healthy):
        counts = {}
        for part, which in PARTS.items():
            own = [row for row in rows if in_building(row) is which and among(row)]
            counts[part] = [sum(map(hit, own)), len(own)]
        made.append({"question": text, "aim": aim, **counts})
    return made


PARTS: dict[str, bool] = {"building": True, "held out": False}

PAGE = """\
# Faults as they happen

What a diagnosis says of faults as releases have them: a processor, a chat template, a tokenizer or numbers of the
configuration that are not those of training, a few steps of tuning on something else, a stranger's adapter merged in,
beside the older faults of the modules. {n_runs} cells on {n_bases} small models, phantom images of a seed that nothing
was built on and, for the bases that begin with `chest-`, {n_radiographs} radiographs of patients that were not trained
on. Each cell is diagnosed alone, and against its healthy base.

{bases}

Made by

    python -m benchmarks.happening --bases DIR --work DIR --chest DIR --data-root DATA --costs
    python -m benchmarks.happening --bases DIR --work DIR --chest DIR --data-root DATA

on checkpoints that are each trained by

    python -m medprobe.fixtures.phantoms.train --out DIR/FAMILY-SEED --family FAMILY --seed SEED [--turn colon]
    python -m medprobe.fixtures.phantoms.train --out DIR/FAMILY --family FAMILY [--turn colon] --views 3 \\
        --data-root DATA --dataset benchmarks/chest-xray-train.toml --held-out benchmarks/chest-xray-held-out.toml

Rules may be built on the mechanisms and bases of *building* ({building_bases}; `BUILDING` in the benchmark); every
other mechanism and base is *held out*, and a held-out cell has both of a kind that nothing was built on. The split was
chosen before any mechanism was measured. Intervals are Wilson's, 95 percent; cells on one base are not independent, so
they are narrower than they should be. What a fault costs is what is said in the healthy base less what is said with it,
in points of signal; only faults that cost more than 20 points are among the cells.

The design was run several times. When the model is asked again ([counterfactuals](../guides/counterfactuals.md)), that
screening reads the text where the text is judged, what becomes of two unrelated inputs that help alike, and the number
of pixels as an alternative were decided after a run over all cells, held-out ones among them. The intervals of the rows
*alone* are to that extent too favourable. What a cropped, shrunk or clipped picture has lost no setting gives back, so
that no counterfactual can name it. So there are three rows of input faults: all of them, those that are a setting, and
those whose pictures still hold what a setting can give back. The second row was added after the runs.

| question | aim | building | held out |
|---|---|---|---|
{figures}

## By fault

*Cost* and what is said are averaged over the cells; *right* and *other* are the places named with `--against`, *asked
again* is how many a counterfactual input names without it, *certain* the places named as certain without it.

| fault | cells | cost | right | other | none | asked again | certain | first advice, alone |
|---|---|---|---|---|---|---|---|---|
{faults}

## What each costs

Points of signal that each fault takes of what is said, and behind the stroke of the likeliest option, measured without
a diagnosis; `-` where the family has no such setting. The first row is the healthy base's own signal. A fault of the
input takes nothing where pictures do not show it: swapped channels of grey pictures, another cut of square ones.

| fault | {cost_bases} |
|---|{cost_rules}|
{costs}
"""


def share(hits: int, n: int) -> str:
    if not n:
        return "none to count"
    low, high = wilson(hits, n)
    return f"{hits} of {n} ({100 * low:.0f} to {100 * high:.0f}%)"


def page(found: Mapping[str, Any]) -> str:
    """docs/studies/happening.md."""
    rows, costs = found["runs"], found["costs"]
    figures = [
        f"| {asked['question']} | {asked['aim']} | {' | '.join(share(*asked[part]) for part in PARTS)} |"
        for asked in summary(rows)
    ]
    bases = list(dict.fromkeys(row["base"] for row in rows))
    cost_bases = list(dict.fromkeys(row["base"] for row in costs))
    return PAGE.format(
        n_runs=len(rows),
        n_bases=len(bases),
        bases=textwrap.fill(f"The bases are {', '.join(bases)}.", 120),
        n_radiographs=N_RADIOGRAPHS,
        building_bases=", ".join(base for base in BUILDING_BASES if base in bases),
        figures="\n".join(figures),
        faults="\n".join(_by_fault(rows)),
        cost_bases=" | ".join(cost_bases),
        cost_rules="|".join("---" for _ in cost_bases),
        costs="\n".join(cost_lines(costs)),
    )


def _by_fault(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    healthy = healthy_signals(rows)
    for fault in dict.fromkeys(row["fault"] for row in rows):
        own = [row for row in rows if row["fault"] == fault]
        costs = [found for row in own if (found := cost(row, healthy)) is not None]
        right = sum(row["against"]["module"] == place_of(row) is not None for row in own)
        none = sum(row["against"]["module"] is None for row in own)
        advice = " / ".join(dict.fromkeys(_short(row["alone"]["advice"]) for row in own))
        certain = ", ".join(sorted({str(row["alone"]["module"]) for row in own if row["alone"]["certain"]})) or "none"
        yield (
            f"| {fault or 'healthy'} | {len(own)} | {100 * float(np.mean(costs)) if costs else 0:.0f} | {right} | "
            f"{len(own) - right - none} | {none} | {sum(row['alone']['counterfactual'] is not None for row in own)} | "
            f"{certain} | {advice} |"
        )


def _short(text: str | None) -> str:
    words = (text or "none").replace("|", "/").split()
    return " ".join(words[:12]) + (" ..." if len(words) > 12 else "")


def cost_lines(costs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a fault, a column a base."""
    bases = list(dict.fromkeys(row["base"] for row in costs))
    found = {(row["base"], row["fault"]): row for row in costs}

    def shown(base: str, fault: str | None) -> str:
        row, sound = found.get((base, fault)), found.get((base, None))
        if row is None or sound is None or "cannot" in row:
            return "-"
        if "error" in row:
            return "error"
        if fault is None:
            return f"{100 * row['said']:.0f} / {100 * row['likeliest']:.0f}"
        return " / ".join(f"{100 * (sound[how] - row[how]):.0f}" for how in ("said", "likeliest"))

    for fault in dict.fromkeys(row["fault"] for row in costs):
        yield f"| {fault or 'healthy'} | {' | '.join(shown(base, fault) for base in bases)} |"


def all_bases(bases: Path, chest: Path | None) -> list[str]:
    """The bases whose training has ended, those for building first."""
    found = [*trained(bases), *(f"{CHEST}{name}" for name in (trained(chest) if chest else ()))]
    return sorted((name for name in found if not name.endswith("-pair")), key=lambda name: name not in BUILDING_BASES)


def measure_costs(bases: Sequence[str], places: Places, rows: Rows) -> None:
    """Fill the rows of costs; a base is loaded once for all its faults."""
    for base in bases:
        every = [Cell(base, kind, fault or None) for kind, fault in [("healthy", ""), *every_fault()]]
        missing = [(cell.kind, cell.fault or "") for cell in rows.missing(every)]
        for row in cost_rows(base, missing, places) if missing else ():
            rows.add(row)


STUDY = Study("happening", page)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = STUDY.parser(__doc__, "--bases", "--work", "--shard", "--limit")
    parser.add_argument("--chest", type=Path, help="folder of the checkpoints trained on radiographs")
    parser.add_argument("--data-root", type=Path, help="folder of the data sets")
    parser.add_argument("--costs", action="store_true", help="measure what each mechanism costs, and diagnose nothing")
    parser.add_argument("--building", action="store_true", help="only cells for building")
    parser.add_argument("--held-out", action="store_true", help="only held-out cells")
    given = parser.parse_args(arguments)
    if given.chest is not None and given.data_root is None:
        parser.error("--chest needs --data-root")
    places = Places(given.bases.resolve(), given.work.resolve(), given.chest and given.chest.resolve(), given.data_root)
    bases, costs = all_bases(given.bases, given.chest), Rows(places.work, "costs", ("base", "fault"))
    if given.costs:
        measure_costs(bases, places, costs)
        return
    if not costs.all():
        parser.error("nothing is known of what faults cost: run with --costs first")
    cells = design(bases, costs.all())
    mine = [
        cell
        for cell in chosen(cells, given.shard)
        if not (given.building and in_building(cell) is not True)
        and not (given.held_out and in_building(cell) is not False)
    ]
    rows = Rows(places.work, "happening", Cell.__dataclass_fields__, given.shard[0])
    rows.fill(chosen(mine, limit=given.limit), partial(run, places=places))
    made = rows.of(cells)
    if made is not None:
        STUDY.publish({"summary": summary(made), "runs": made, "costs": costs.all()})


if __name__ == "__main__":
    main()
