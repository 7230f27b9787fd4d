"""Small models of several families, trained on one half of Chest-Xray, diagnosed on the other, healthy and with faults.

    python -m benchmarks.families --data-root DATA --work DIR

Training resumes at the family that is missing in DIR, features at the last shard, rows at the first that is missing.
Writes benchmarks/results/families.json and docs/studies/families.md.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.study import HERE, ROOT, Rows, Study, model, quiet
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand

HELD_OUT = HERE / "chest-xray-held-out.toml"
HEAD = """# Faults planted in three families trained on real radiographs

Small models trained on one half of the patients of Chest-Xray and diagnosed on {n_images} images of the other half,
healthy and with each planted fault; signal in points. {right} of {runs} diagnoses are as planted. Made by

    python -m benchmarks.families --data-root DATA --work DIR

which writes `benchmarks/results/families.json` and this page.

| family | planted | verdict | primary failure mode | reference | vision | connector | llm | answer |
|---|---|---|---|---|---|---|---|---|
"""
FAMILIES = ("llava", "gemma3", "qwen2_5_vl")
FAULTS = (None, "vision", "connector", "llm", "answer")
N_IMAGES = 1200
PLACES = ("reference", "vision", "connector", "llm", "answer")


def trained(family: str, work: Path, data_root: Path) -> Path:
    """The checkpoint of a family; `training.json` is written last, so that a training cut short starts again."""
    folder = work / f"chest-{family}"
    if not (folder / "training.json").exists():
        command = [sys.executable, "-m", "medprobe.fixtures.phantoms.train", "--out", str(folder.resolve())]
        command += ["--family", family, "--views", "3", "--data-root", str(data_root.resolve())]
        command += ["--dataset", str(HERE / "chest-xray-train.toml"), "--held-out", str(HELD_OUT)]
        subprocess.run(command, check=True, cwd=ROOT)
    return folder


def run(cell: Mapping[str, Any], work: Path, data_root: Path) -> dict[str, Any]:
    """One family with one fault, or with none."""
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.records.chain import FAILURE_MODES
    from medprobe.diagnostics.settings import Settings

    fault, folder = cell["planted"], trained(cell["family"], work, data_root)
    spec = replace(model(folder.name, work, fault), name=cell["family"])
    settings = Settings(store=work / "store", data_root=data_root, max_images=N_IMAGES)
    found, _ = diagnose(ModelOnDemand(spec, settings), "chest-xray", lambda: HELD_OUT, quiet)
    right = found.verdict == "pass" if fault is None else found.primary_failure_mode == FAILURE_MODES[fault]
    return {
        **cell,
        "verdict": found.verdict,
        "primary_failure_mode": found.primary_failure_mode,
        "as_planted": right,
        "signal": found.signal and {k: round(v, 3) for k, v in found.signal.model_dump().items()},
        "error": found.error,
    }


def page(found: Mapping[str, Any]) -> str:
    """docs/studies/families.md."""
    rows = found["runs"]
    right = sum(row["as_planted"] for row in rows)
    lines = [HEAD.format(n_images=found["n_images"], right=right, runs=len(rows)).rstrip("\n")]
    for row in rows:
        signal = row["signal"]
        shown = [f"{100 * signal[place]:.1f}" for place in PLACES] if signal else ["-"] * len(PLACES)
        named = (row["planted"] or "nothing", row["verdict"] or "error", row["primary_failure_mode"] or "none")
        lines.append(f"| {' | '.join([row['family'], *named, *shown])} |")
    return "\n".join(lines) + "\n"


STUDY = Study("families", page)


def main() -> None:
    given = STUDY.parser(__doc__, "--data-root", "--work").parse_args()
    cells = [{"family": family, "planted": fault} for family in FAMILIES for fault in FAULTS]
    rows = Rows(given.work, "families", ("family", "planted"))
    rows.fill(cells, partial(run, work=given.work, data_root=given.data_root))
    STUDY.publish({"n_images": N_IMAGES, "runs": rows.of(cells)})


if __name__ == "__main__":
    main()
