"""Every family goes through the whole suite from `--model FOLDER`."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from medprobe.fixtures.phantoms.families.checkpoints import FAMILIES, build_family
from medprobe.fixtures.phantoms.images import draw_dataset
from tests.places import ROOT

SMALL: dict[str, Any] = {"image_size": 32, "vision_layers": 3, "vision_width": 32, "text_width": 32, "text_heads": 2}


@pytest.mark.slow
def test_every_family_is_diagnosed(tmp_path: Path) -> None:
    manifest = draw_dataset(tmp_path / "images", n_patients=18, images_per_patient=2, seed=3)
    command = [sys.executable, "-m", "pytest", "--dataset", str(manifest), "--store", str(tmp_path / "store")]
    for name in FAMILIES:
        command += ["--model", str(build_family(name, tmp_path / name, seed=1, **SMALL))]
    run = subprocess.run(
        [*command, "--report-dir", str(tmp_path / "report"), "-p", "no:cacheprovider", "-q"],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    found = {diagnosis["model"]: diagnosis for diagnosis in report["diagnoses"]}
    assert {name: found[name]["error"] for name in FAMILIES} == dict.fromkeys(FAMILIES), run.stdout[-2000:]
    for name in FAMILIES:
        curves = found[name]["curves"]
        assert len(curves["connector"]) == len(curves["connector_grid"]) == 1
        assert len(curves["vision"]) == len(curves["vision_grid"]) >= 2
        assert len(curves["llm_mean"]) == len(curves["llm_last"]) >= 3
        assert found[name]["n_images"] == 36
