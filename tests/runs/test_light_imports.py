"""What starts before a check runs imports nothing heavy: each is tried in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from medprobe.fixtures.phantoms.images import draw_dataset
from medprobe.plugins.report.outputs.files import write_report
from tests.places import ROOT
from tests.unit.plugins.report import samples

MODEL_LIBRARIES = {"torch", "transformers", "sklearn", "scipy", "statsmodels", "matplotlib"}
ALONE = {
    "a phantom is drawn": (
        "import medprobe.fixtures.phantoms.images as i; i.draw_patient(1, 1, (0,))",
        {"torch", "transformers"},
    ),
    "a name is resolved": (
        "from medprobe.fixtures.models.registry import resolve, list_models;"
        "import medprobe.fixtures.models.fingerprint; list_models(); resolve('medgemma')",
        {"torch", "transformers"},
    ),
    "pages are about to be written": (
        "from medprobe.plugins.report.outputs import files, pages, terminal",
        MODEL_LIBRARIES | {"jinja2", "numpy"},
    ),
}


def imported(code: str, heavy: set[str]) -> list[str]:
    """Which of `heavy` the code imports."""
    code = f"import sys; {code}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


@pytest.mark.parametrize("what", ALONE)
def test_nothing_heavy_is_imported_when(what: str) -> None:
    assert imported(*ALONE[what]) == []


def test_a_data_set_is_checked_without_numerics(tmp_path: Path) -> None:
    manifest = draw_dataset(tmp_path, n_patients=8, images_per_patient=1, seed=0)
    code = (
        "from pathlib import Path; from medprobe.fixtures.datasets.dataset import check_dataset;"
        f"check_dataset(Path({str(manifest)!r}), None)"
    )
    assert imported(code, MODEL_LIBRARIES | {"numpy", "PIL", "pydicom"}) == []


def test_reports_are_compared_without_a_model_library(tmp_path: Path) -> None:
    path = str(write_report(samples.report(samples.healthy()), tmp_path))
    code = f"from medprobe.commands.report import main; assert main([{path!r}, '--out', {str(tmp_path)!r}]) == 0"
    assert imported(code, MODEL_LIBRARIES | {"numpy"}) == []
