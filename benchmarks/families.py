"""Small models of several families, trained on one half of Chest-Xray, diagnosed on the other, healthy and with faults.

    python benchmarks/families.py --data-root DATA --work DIR

Training resumes at the family that is missing in DIR, features at the last shard. Writes benchmarks/results/families.json and
docs/studies/families.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

PAGE = HERE.parent / "docs" / "families.md"
HEAD = """# Faults planted in three families trained on real radiographs

Small models trained on one half of the patients of Chest-Xray and diagnosed on {n_images} images of the other half,
healthy and with each planted fault; signal in points. {right} of {runs} diagnoses are as planted. Made by

    python benchmarks/families.py --data-root DATA --work DIR

which writes `benchmarks/results/families.json` and this page.

| family | planted | verdict | primary failure mode | reference | vision | connector | llm | answer |
|---|---|---|---|---|---|---|---|---|
"""
FAMILIES = ("llava", "gemma3", "qwen2_5_vl")
FAULTS = (None, "vision", "connector", "llm", "answer")
N_IMAGES = 1200
PLACES = ("reference", "vision", "connector", "llm", "answer")


def main() -> None:
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.records.chain import FAILURE_MODES
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.models.registry import ModelSpec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    given = parser.parse_args()
    held_out = HERE / "chest-xray-held-out.toml"
    settings = Settings(store=given.work / "store", data_root=given.data_root, max_images=N_IMAGES)
    rows = []
    for family in FAMILIES:
        folder = given.work / f"chest-{family}"
        # Written last, so that a training that was cut short starts again.
        if not (folder / "training.json").exists():
            command = [
                sys.executable,
                "-m",
                "medprobe.fixtures.phantoms.train",
                "--out",
                str(folder),
                "--family",
                family,
            ]
            command += ["--views", "3", "--data-root", str(given.data_root)]
            command += ["--dataset", str(HERE / "chest-xray-train.toml"), "--held-out", str(held_out)]
            subprocess.run(command, check=True, cwd=HERE.parent)
        for fault in FAULTS:
            spec = ModelSpec(str(folder), name=family, source=str(folder), fault=fault)
            found, _ = diagnose(spec, "chest-xray", lambda: held_out, settings, lambda *_: None)
            right = found.verdict == "pass" if fault is None else found.primary_failure_mode == FAILURE_MODES[fault]
            rows.append(
                {
                    "family": family,
                    "planted": fault,
                    "verdict": found.verdict,
                    "primary_failure_mode": found.primary_failure_mode,
                    "as_planted": right,
                    "signal": found.signal and {k: round(v, 3) for k, v in found.signal.model_dump().items()},
                    "error": found.error,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    (HERE / "families.json").write_text(json.dumps({"n_images": N_IMAGES, "runs": rows}, indent=1) + "\n")
    PAGE.write_text(page(rows), "utf-8")


def page(rows: list[dict[str, Any]]) -> str:
    """docs/studies/families.md."""
    right = sum(row["as_planted"] for row in rows)
    lines = [HEAD.format(n_images=N_IMAGES, right=right, runs=len(rows)).rstrip("\n")]
    for row in rows:
        signal = row["signal"]
        shown = [f"{100 * signal[place]:.1f}" for place in PLACES] if signal else ["-"] * len(PLACES)
        named = (row["planted"] or "nothing", row["verdict"] or "error", row["primary_failure_mode"] or "none")
        lines.append(f"| {' | '.join([row['family'], *named, *shown])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
