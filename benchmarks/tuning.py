"""Small models trained on drawn images, tuned on one half of the patients of Chest-Xray, diagnosed on the other half
before and after, and the module that made the gain.

    python -m benchmarks.tuning --bases DIR --data-root DATA --work DIR

Resumes at the run that is missing in DIR, or at its last step. `--only N` makes the N-th run alone, counted from 0.
Writes benchmarks/results/tuning.json and the table of docs/guides/tuning.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.study import GUIDES, Rows, Study, filled, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models.load_options import LoadOptions

BASES = ("llava-2", "gemma3-1")
"""Folders of FAMILY-SEED, as `python -m medprobe.fixtures.phantoms.train --family FAMILY --seed SEED` trains them."""
RUNS = (
    *((base, parts) for base in BASES for parts in ("connector-llm", "tower-connector-llm", "tower")),
    ("llava-2-connector-llm-merged", "tower"),
)
"""The last tunes the tower of a model that answers already, which the first run made."""
N_TUNED, N_DIAGNOSED, SEED = 800, 700, 0
EPOCHS, BATCH, RATE = 12.0, 32, 2e-3
"""Chosen once, on the loss of the images tuned on; models of two million weights need larger steps than published
ones."""
PLACES = ("reference", "vision", "connector", "llm", "answer")


def studied(
    base: Path, parts: Any, dataset: str, data_root: Path | None, work: Path, n_images: int, n_tuned: int = N_TUNED
) -> dict[str, Any]:
    """One base tuned one way, before and after."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings
    from medprobe.diagnostics.tuning.plan import TuningPlan
    from medprobe.diagnostics.tuning.run import tune
    from medprobe.fixtures.datasets import catalog
    from medprobe.fixtures.models.registry import resolve

    spec = resolve(str(base))
    plan = TuningPlan(parts, epochs=EPOCHS, batch=BATCH, micro_batch=BATCH, rate=RATE, seed=SEED, max_images=n_tuned)
    out = work / f"{base.name}-{parts}"
    tuned = tune(spec, catalog.resolve(dataset), out, plan, data_root, say=_err)
    losses = json.loads((out / "loss.json").read_text("utf-8"))["loss"]
    merged = _merged(spec, out, work / f"{out.name}-merged")
    found, predictions = {}, {}
    for when, adapter, against in (("before", None, merged), ("after", str(out), spec)):
        settings = Settings(
            store=work / "store",
            data_root=data_root,
            max_images=n_images,
            load=LoadOptions(adapter=adapter),
            against=against,
        )
        diagnosis, predicted = diagnose(ModelOnDemand(spec, settings), dataset, lambda: tuned.held_out, quiet)
        if diagnosis.error is not None or predicted is None:
            raise RuntimeError(diagnosis.error)
        found[when], predictions[when] = diagnosis, predicted
    return {
        "base": base.name,
        "parts": parts,
        "tuned": tuned.facts["tuned"],
        "held_out": tuned.facts["held_out"],
        "diagnosed": found["after"].n_images,
        "loss": [round(sum(part) / len(part), 3) for part in (losses[:10], losses[-10:])],
        "before": _read(found["before"]),
        "after": _read(found["after"]),
        "gain": gains(predictions["before"], predictions["after"]),
        "own_head": own_head(spec, out, tuned.held_out, data_root, n_images) if parts == "tower" else None,
        "cause": _cause(found["before"].cause),
        "loss_cause": _cause(found["after"].cause),
    }


def own_head(spec: Any, out: Path, held_out: Path, data_root: Path | None, n_images: int) -> dict[str, Any]:
    """Signal of the head that the tower was tuned with, on the images diagnosed."""
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from medprobe.diagnostics.extraction.extractor import tower_exits
    from medprobe.diagnostics.extraction.inputs import prepared
    from medprobe.diagnostics.judgement.resamples import Resamples, interval
    from medprobe.diagnostics.scores import signal_of
    from medprobe.diagnostics.tuning.learners import head_for
    from medprobe.diagnostics.tuning.run import HEAD
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.datasets.images import open_image
    from medprobe.fixtures.models.loading import load

    dataset = open_dataset(held_out, data_root, n_images, SEED)
    loaded, weights = load(spec, LoadOptions(adapter=str(out))), load_file(out / HEAD)
    k, width = weights["1.weight"].shape
    head = head_for(width, k)
    head.load_state_dict(weights)
    said = []
    for start in range(0, len(dataset.images), BATCH):
        pictures = [open_image(image) for image in dataset.images[start : start + BATCH]]
        with torch.inference_mode():
            said.append(head(tower_exits(loaded, prepared(loaded, pictures, dataset.prompt))).argmax(dim=1).numpy())
    labels, predicted = np.array(dataset.labels()), np.concatenate(said)
    low, high = interval(Resamples(labels, np.array(dataset.groups()), k, SEED).signal(predicted))
    point = signal_of(labels, predicted, k)
    return {"signal": round(point, 4), "ci": [round(low, 4), round(high, 4)]}


def gains(before: Any, after: Any) -> dict[str, Any]:
    """By place of the chain, the change of signal from one model's predictions to another's on the same images."""
    import numpy as np

    from medprobe.diagnostics.judgement.resamples import Resamples, interval
    from medprobe.diagnostics.scores import signal_of

    assert before.images == after.images
    labels, k = np.asarray(before.labels), len(before.classes)
    resamples = Resamples(labels, np.asarray(before.groups), k, SEED)
    found = {}
    for place in PLACES:
        one, other = (np.asarray(run.places[place]) for run in (before, after))
        change = signal_of(labels, other, k) - signal_of(labels, one, k)
        low, high = interval(resamples.signal(other) - resamples.signal(one))
        found[place] = {"change": round(change, 4), "ci": [round(low, 4), round(high, 4)]}
    return found


def _merged(spec: Any, adapter: Path, folder: Path) -> Any:
    """The tuned model as an ordinary checkpoint, whose modules can be swapped in."""
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    if not (folder / "config.json").exists():
        loaded = load(spec, LoadOptions(adapter=str(adapter)))
        loaded.processor.save_pretrained(folder)
        loaded.model.save_pretrained(folder)
    return resolve(str(folder))


def _read(diagnosis: Any) -> dict[str, Any]:
    answer = diagnosis.answer
    return {
        "verdict": diagnosis.verdict,
        "primary_failure_mode": diagnosis.primary_failure_mode,
        "signal": {place: round(value, 4) for place, value in diagnosis.signal.model_dump().items()},
        "said": round(diagnosis.accuracy.answer, 4),
        "unparseable": answer.unparseable,
    }


def _cause(cause: Any) -> dict[str, Any]:
    """What the model lacks against the second checkpoint; signals are of the likeliest option."""
    effects = cause.effects.model_dump()
    return {
        "module": cause.module,
        "layer": cause.layer,
        "reason": cause.reason,
        "n_images": cause.n_images,
        "signal": [round(cause.hybrids[0].signal, 4), round(cause.hybrids[-1].signal, 4)],
        "difference": round(cause.difference, 4),
        "difference_ci": [round(bound, 4) for bound in cause.difference_ci],
        "effects": {stage: round(value, 4) for stage, value in effects.items()},
        "alone": {stage: round(swap.gain, 4) for stage, swap in cause.swaps.items()},
    }


def table(runs: list[dict[str, Any]]) -> str:
    """The study's rows; signal in points."""
    head = ("base", "tuned", "vision", "connector", "llm", "likeliest option", "answer", "named", "effects", "alone")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for run in runs:
        before, after, cause = run["before"]["signal"], run["after"]["signal"], run["cause"]
        steps = [_step(before[place], after[place]) for place in PLACES[1:4]]
        likeliest, answer = _step(*cause["signal"]), _step(before["answer"], after["answer"])
        cells = [run["base"], run["parts"], *steps, likeliest, answer, _named(cause, run["loss_cause"])]
        shares = (" ".join(f"{100 * value:+.0f}" for value in cause[key].values()) for key in ("effects", "alone"))
        lines.append(f"| {' | '.join([*cells, *shares])} |")
    return "\n".join(lines)


def page(found: Mapping[str, Any]) -> str:
    """docs/guides/tuning.md with its table put anew."""
    return filled(GUIDES / "tuning.md", **{"benchmarks.tuning": table(found["runs"])})


def _named(cause: dict[str, Any], loss: dict[str, Any]) -> str:
    if cause["module"] or loss["module"]:
        return f"gain: {cause['module']}" if cause["module"] else f"loss: {loss['module']}"
    return f"none: {cause['reason'].partition(':')[0]}"


def _step(before: float, after: float) -> str:
    return f"{100 * before:.0f} to {100 * after:.0f}"


STUDY = Study("tuning", page, GUIDES / "tuning.md")


def main() -> None:
    parser = STUDY.parser(__doc__, "--bases", "--data-root", "--work")
    parser.add_argument("--only", type=int, help="make the N-th run alone, counted from 0")
    given = parser.parse_args()
    fields = ("base", "parts")
    cells = [dict(zip(fields, run, strict=True)) for run in RUNS]

    def run(cell: Mapping[str, Any]) -> dict[str, Any]:
        folder = (given.bases if cell["base"] in BASES else given.work) / cell["base"]
        return studied(folder, cell["parts"], "chest-xray", given.data_root, given.work, N_DIAGNOSED)

    rows = Rows(given.work, "tuning", fields)
    rows.fill(cells if given.only is None else [cells[given.only]], run)
    if given.only is None:
        STUDY.publish({"seed": SEED, "runs": rows.of(cells)})


def _err(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
