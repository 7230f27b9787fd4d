"""The regression gate's false alarms and power, on phantoms retrained from different seeds.

    python -m benchmarks.gate --bases DIR --work DIR

DIR of bases holds checkpoints named FAMILY-SEED (`python -m medprobe.fixtures.phantoms.train --family F --seed S`).
Resumes at the base that is missing in WORK. Writes benchmarks/results/gate.json and docs/studies/gate.md, whose text
says what is done.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import Rows, Study, images, model, quiet, trained, wilson
from medprobe.diagnostics.baselines.regression import compare
from medprobe.diagnostics.evidence import said_classes
from medprobe.diagnostics.extraction.measurement import measure
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.judgement.repeats import exits_by_fold_seed
from medprobe.diagnostics.records.chain import STAGES
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.scores import signal_of
from medprobe.diagnostics.settings import FOLD_SEEDS, Settings
from medprobe.diagnostics.thresholds import load_thresholds
from medprobe.fixtures.datasets.dataset import open_dataset

TRUTH = range(5000, 5009)
"""Seeds of the sets that say what is true: 9 of 600 images."""
TESTED = range(5100, 5104)
"""Seeds of the sets the gate is tried on."""
MINIMUM, LOST = 0.02, 0.05


def measured(base: str, bases: Path, work: Path) -> Iterator[dict[str, Any]]:
    """What the gate pairs, a row a set: the answer and the exits, the latter under one fold seed for the truth."""
    store = work / f"store-{base}"
    spec, settings = model(base, bases), Settings(store=store)
    on_demand = ModelOnDemand(spec, settings)
    for seed in (*TRUTH, *TESTED):
        dataset = open_dataset(images(work / "images" / str(seed), seed=seed), None, None, 0)
        found = measure(on_demand, dataset, quiet)
        each = replace(settings, fold_seeds=1 if seed in TRUTH else FOLD_SEEDS)
        exits = exits_by_fold_seed(found, dataset, each, quiet)
        predictions = Predictions(
            model=base,
            dataset=f"phantom-{seed}",
            data_fingerprint=dataset.fingerprint,
            prompt=dataset.prompt,
            probe=settings.probe,
            classes=list(dataset.answers),
            images=[image.id for image in found.images],
            labels=found.labels.tolist(),
            groups=found.groups.tolist(),
            places={"answer": said_classes(found.texts(), dataset).tolist()},
            exits={stage: [values.tolist() for values in seeds] for stage, seeds in exits.items()},
            loci={},
            options=[],
            made=found.folder.about(),
        )
        yield {"base": base, "seed": seed, "predictions": predictions.model_dump()}
    shutil.rmtree(store)


def together(sets: Sequence[Predictions]) -> Predictions:
    """Several image sets as one; groups of different sets stay apart."""
    starts = np.cumsum([0, *(max(s.groups) + 1 for s in sets)]).tolist()
    first = sets[0]
    return first.model_copy(
        update={
            "images": [image for s in sets for image in s.images],
            "labels": [label for s in sets for label in s.labels],
            "groups": [start + group for start, s in zip(starts, sets, strict=False) for group in s.groups],
            "places": {"answer": [value for s in sets for value in s.places["answer"]]},
            "exits": {
                stage: [[v for s in sets for v in s.exits[stage][i]] for i in range(len(seeds))]
                for stage, seeds in first.exits.items()
            },
        }
    )


def signals(sets: Sequence[Predictions]) -> dict[str, float]:
    """The signal at each place over all images of the sets; probes are trained within each."""
    whole = together(sets)
    labels, k = np.asarray(whole.labels), len(whole.classes)
    read = {"answer": whole.places["answer"], **{stage: seeds[0] for stage, seeds in whole.exits.items()}}
    return {place: signal_of(labels, np.asarray(read[place]), k) for place in STAGES}


def flipped(run: Predictions, share: float, salt: str) -> Predictions:
    """The run with this share of its right answers made wrong, chosen by a hash of the image."""
    k = len(run.classes)

    def draw(image: str) -> float:
        return int.from_bytes(hashlib.sha256(f"{salt} {image}".encode()).digest()[:6]) / 2**48

    rows = zip(run.images, run.labels, run.places["answer"], strict=True)
    said = [(label + 1) % k if answer == label and draw(image) < share else answer for image, label, answer in rows]
    return run.model_copy(update={"places": {"answer": said}})


def lowered(before: Sequence[Predictions], after: Sequence[Predictions]) -> tuple[float, str, float] | None:
    """The share of answers to flip in `after`, the salt that chooses them, and the true loss against `before` it then
    has, 4.5 to 5.5 points. None where the loss is larger without any flip.
    """
    was, now = signals(before)["answer"], signals(after)["answer"]
    k = len(before[0].classes)
    recall = now * (1 - 1 / k) + 1 / k
    share = (now - (was - LOST)) * (1 - 1 / k) / recall
    if not 0 <= share <= 1:
        return None
    for salt in map(str, range(20)):
        loss = was - signals([flipped(run, share, salt) for run in after])["answer"]
        if abs(loss - LOST) <= 0.005:
            return share, salt, loss
    return None


def study(bases: Sequence[str], read: dict[tuple[str, int], Predictions]) -> dict[str, Any]:
    pairs, alarms, power = [], [], []
    sizes = {"600": [[seed] for seed in TESTED], str(600 * len(TESTED)): [list(TESTED)]}
    families = sorted({base.rpartition("-")[0] for base in bases})
    truth = {base: [read[base, seed] for seed in TRUTH] for base in bases}
    for family in families:
        of_family = [base for base in bases if base.rpartition("-")[0] == family]
        for one, other in itertools.permutations(of_family, 2):
            was, now = signals(truth[one]), signals(truth[other])
            change = {stage: round(now[stage] - was[stage], 4) for stage in STAGES}
            alike = all(abs(value) < MINIMUM for value in change.values())
            pairs.append({"before": one, "after": other, "true_change": change, "alike": alike})
            if alike:
                for size, chosen in sizes.items():
                    for seeds in chosen:
                        verdicts = _verdicts(*(together([read[base, seed] for seed in seeds]) for base in (one, other)))
                        alarms.append({"before": one, "after": other, "images": size, "verdicts": verdicts})
        for one, other in itertools.product(of_family, repeat=2):
            planted = lowered(truth[one], truth[other])
            if planted is None:
                continue
            share, salt, loss = planted
            for size, chosen in sizes.items():
                for seeds in chosen:
                    before = together([read[one, seed] for seed in seeds])
                    after = flipped(together([read[other, seed] for seed in seeds]), share, salt)
                    kind = "same weights" if one == other else "retrained"
                    row = {"before": one, "after": other, "kind": kind, "true_loss": round(loss, 4), "images": size}
                    power.append(row | {"verdicts": _verdicts(before, after)})
    return {
        "minimum_effect": MINIMUM,
        "images_true": 600 * len(TRUTH),
        "bases": list(bases),
        "pairs": pairs,
        "false_alarms": {size: _share([r for r in alarms if r["images"] == size], STAGES) for size in sizes},
        "false_alarms_by_place": {
            size: {s: _share([r for r in alarms if r["images"] == size], (s,))["share"] for s in STAGES}
            for size in sizes
        },
        "power": {
            kind: {
                size: _share([r for r in power if (r["kind"], r["images"]) == (kind, size)], ("answer",))
                for size in sizes
            }
            for kind in ("same weights", "retrained")
        },
        "runs": {"false_alarms": alarms, "power": power},
    }


def _verdicts(before: Predictions, after: Predictions) -> dict[str, str]:
    margins = replace(load_thresholds().margins(after.model, after.dataset), minimum_effect=MINIMUM)
    return {stage: change.verdict for stage, change in compare(before, after, margins).exits.items()}


def _share(rows: Sequence[dict[str, Any]], places: Sequence[str]) -> dict[str, Any]:
    """How many runs are called regressed at any of `places`, with Wilson's interval over runs and over pairs of bases.

    A pair counts when any of its runs does.
    """
    called = [any(row["verdicts"][place] == "regressed" for place in places) for row in rows]
    undecided = [
        not hit and any(row["verdicts"][place] == "inconclusive" for place in places)
        for row, hit in zip(rows, called, strict=True)
    ]
    pairs = {frozenset((row["before"], row["after"])) for row in rows}
    hit = {frozenset((row["before"], row["after"])) for row, c in zip(rows, called, strict=True) if c}
    return {
        "runs": len(rows),
        "called": sum(called),
        "share": sum(called) / len(rows) if rows else None,
        "interval": _interval(sum(called), len(rows)),
        "inconclusive": sum(undecided),
        "pairs": len(pairs),
        "pairs_with_a_call": len(hit),
        "pairs_interval": _interval(len(hit), len(pairs)),
    }


def _interval(hits: int, n: int) -> list[float] | None:
    return [round(bound, 4) for bound in wilson(hits, n)] if n else None


def page(found: dict[str, Any]) -> str:
    pairs = found["pairs"]
    alike = [pair for pair in pairs if pair["alike"]]
    alarms = "\n".join(_row(f"{size} images", cell) for size, cell in found["false_alarms"].items())
    power = "\n".join(
        _row(f"{kind}, {size} images", cell) for kind, sizes in found["power"].items() for size, cell in sizes.items()
    )
    head = "| | runs | called regressed | share | 95% interval | inconclusive | pairs with a call | 95% interval |\n"
    head += "|---|---|---|---|---|---|---|---|"
    places = "\n".join(
        f"| {size} images | " + " | ".join(_percent(by[stage]) for stage in STAGES) + " |"
        for size, by in found["false_alarms_by_place"].items()
    )
    return f"""# False alarms and power of the regression gate

    python -m benchmarks.gate --bases DIR --work DIR

Phantoms, by family and training seed: {", ".join(found["bases"])}. All data are in
[benchmarks/results/gate.json](../../benchmarks/results/gate.json).

**What is true.** Each phantom read {found["images_true"]:,} images that no training and no test used, in sets of 600.
The true change of a pair is the difference of signal over all of them, at the answer and at the vision, connector and
llm exits; probes are trained within each set of 600, as a run of that size would. It is itself an estimate, with a
standard error of about half a point where the answers of two phantoms differ on 1 image in 25.

**False alarms.** A pair of one family, in one direction, counts as alike where the true change is below
{100 * found["minimum_effect"]:g} points at all four places: {len(alike)} of {len(pairs)}. Each is compared on
{len(TESTED)} further sets of 600 images, and on these as one set. A run is called regressed where any of the four
places is; the aim is at most 5 percent.

{head}
{alarms}

Runs called regressed by place:

| | {" | ".join(STAGES)} |
|---|---|---|---|---|
{places}

**Power.** Of the later phantom's right answers a share chosen by a hash of the image is made wrong, so that its true
loss of answer signal is {100 * LOST:g} points (kept where measured at 4.5 to 5.5). *Same weights*: the earlier phantom
itself, so nothing else changes. *Retrained*: another training seed of the family, so many images change in both
directions. A run counts where the answer is called regressed.

{head}
{power}

**What this is not.** Runs of a pair share phantoms and runs of a family share images, so they are not independent: the
interval over runs is too narrow, that over pairs (a pair counts when any of its runs is called) is cautious, and pairs
still share phantoms. Flipped answers are a loss without a cause inside the model. All phantoms are small and read drawn
images.
"""


def _row(name: str, cell: dict[str, Any]) -> str:
    cells = [
        *(str(cell["runs"]), str(cell["called"]), _percent(cell["share"]), _between(cell["interval"])),
        *(
            str(cell["inconclusive"]),
            f"{cell['pairs_with_a_call']} of {cell['pairs']}",
            _between(cell["pairs_interval"]),
        ),
    ]
    return f"| {name} | " + " | ".join(cells) + " |"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f}%"


def _between(bounds: Sequence[float] | None) -> str:
    return "none" if bounds is None else f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}%"


STUDY = Study("gate", page)


def main() -> None:
    given = STUDY.parser(__doc__, "--bases", "--work").parse_args()
    bases = [base for base in trained(given.bases) if base.rpartition("-")[2].isdigit()]
    cells = [{"base": base, "seed": seed} for base in bases for seed in (*TRUTH, *TESTED)]
    rows = Rows(given.work, "gate", ("base", "seed"))
    for base in dict.fromkeys(cell["base"] for cell in rows.missing(cells)):
        for row in measured(base, given.bases, given.work):
            rows.add(row)
    read = {(row["base"], row["seed"]): Predictions.model_validate(row["predictions"]) for row in rows.of(cells) or []}
    STUDY.publish(study(bases, read))


if __name__ == "__main__":
    main()
