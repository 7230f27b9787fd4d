"""`import medprobe`: cheap, and the same diagnosis and the same sentences as the command line."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import medprobe
from medprobe.fixtures.phantoms import phantom_path
from medprobe.plugins.named_options import OF_A_RUN, destination
from medprobe.plugins.options import OPTIONS
from tests.places import GUIDES, ROOT
from tests.runs.calling import HEAVY, Run
from tests.runs.calling import medprobe as run

BLOCKS = re.findall(r"^```python\n(.*?)^```$", (GUIDES / "python.md").read_text("utf-8"), re.M | re.S)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a project, whose store the tests share."""
    (tmp_path / "medprobe.toml").write_text(f'store = "{store.as_posix()}"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_import_is_cheap() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import medprobe; dir(medprobe)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = Run(0, "", done.stderr, ROOT).imported()
    assert "medprobe" in imported
    assert imported.isdisjoint({*HEAVY, "numpy", "pandas", "pydantic", "pytest"})


def test_what_is_exported_is_there() -> None:
    assert set(medprobe.__all__) <= set(dir(medprobe))
    assert all(getattr(medprobe, name).__doc__ for name in medprobe.__all__)
    assert not hasattr(medprobe, "diagnosed")
    assert (Path(medprobe.__file__).parent / "py.typed").is_file()


def test_every_option_is_either_taken_or_of_a_run() -> None:
    with pytest.raises(medprobe.MedprobeError) as refused:
        medprobe.diagnose("phantom", "phantom", colour="red")
    taken = re.findall(r"\w+", str(refused.value).partition("it has ")[2])
    names = {destination(option) for option, _ in OPTIONS}
    assert set(taken) == names - {"model", "dataset"} - {destination(option) for option in OF_A_RUN}


def test_the_code_of_the_guide_runs(first: Run, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pandas", reason="the guide shows tables")
    shutil.copytree(first.report_dir, folder / "reports")
    shown: dict[str, Any] = {}
    for block in BLOCKS:
        exec(block, shown)
    said = capsys.readouterr().out
    assert "fail connector_fidelity_loss" in said
    assert "unknown model 'phantm'" in said
    assert len(shown["table"]) == 2
    assert len(shown["images"]) == 48


def test_the_diagnosis_is_that_of_the_command_line(first: Run, small: Path, folder: Path) -> None:
    told = []
    found = medprobe.diagnose("phantom-connector", small, progress=lambda *work: told.append(work))
    asked = first.diagnoses["phantom-connector", "small"]
    assert found.model_dump(mode="json") | {"timing": None} == asked | {"timing": None}
    kept = first.report_dir / "phantom-connector-small" / "predictions.json"
    assert found.predictions == medprobe.Predictions.model_validate_json(kept.read_bytes())
    loaded = medprobe.load_report(first.report_dir)
    assert [d.predictions for d in loaded.diagnoses if d.model == found.model] == [found.predictions]
    assert not (folder / "reports").exists()
    assert all(done <= total for _, done, total in told)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("phantm", {}),
        ("phantom", {"max_images": 0}),
        ("phantom", {"controls": "slow"}),
        ("phantom", {"data_root": "nowhere"}),
        ("phantom", {"against": "nowhere", "treat": True}),
    ],
)
def test_a_wrong_call_is_refused_in_the_words_of_the_command_line(
    model: str, options: dict[str, Any], folder: Path
) -> None:
    with pytest.raises(medprobe.MedprobeError) as refused:
        medprobe.diagnose(model, "phantom", **options)
    typed = [
        word
        for name, value in options.items()
        for word in ([f"--{name}"] if value is True else [f"--{name.replace('_', '-')}", str(value)])
    ]
    called = run(
        "--model", model, "--dataset", "phantom", *typed, report_dir=folder / "r", program="medprobe", cwd=folder
    )
    assert called.code == pytest.ExitCode.USAGE_ERROR
    assert str(refused.value) in called.err


def test_what_shows_only_while_loading_is_refused_too(small: Path, folder: Path) -> None:
    broken = shutil.copytree(phantom_path(), folder / "broken")
    (weights,) = broken.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(medprobe.MedprobeError) as refused:
        medprobe.diagnose(broken, small)
    called = run("--model", broken, "--dataset", small, report_dir=folder / "r", program="medprobe", cwd=folder)
    assert called.diagnoses["broken", "small"]["error"] == str(refused.value)


@pytest.mark.parametrize(
    ("options", "says"), [({"report_dir": "r"}, "no option 'report_dir'"), ({"shard": "1/2"}, "no option 'shard'")]
)
def test_options_of_a_run_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(medprobe.MedprobeError, match=says):
        medprobe.diagnose("phantom", "phantom", **options)
