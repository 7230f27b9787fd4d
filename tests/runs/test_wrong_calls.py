"""A wrong call ends before anything is loaded, with one sentence and exit code 4."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medprobe.fixtures.phantoms import phantom_path
from tests.places import ROOT
from tests.runs.calling import Run, medprobe

Call = Callable[[Path], list[str | Path]]
MANIFEST = """name = "mine"
modality = "scan"
prompt = "Is it a or b?"
root = "images"
[[classes]]
answer = "a"
images = ["a/*.png"]
[[classes]]
answer = "b"
images = ["b/*.png"]
"""


def checkpoint(folder: Path, weights: str | None) -> Path:
    shutil.copytree(phantom_path(), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    if weights:
        (folder / weights).write_bytes(b"weights")
    return folder


def manifest(folder: Path, text: str = MANIFEST) -> Path:
    (folder / "images" / "a").mkdir(parents=True)
    (folder / "images" / "a" / "1.png").write_bytes(b"")
    (folder / "mine.toml").write_text(text)
    return folder / "mine.toml"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def namesakes(folder: Path) -> list[str | Path]:
    for parent in ("one", "two"):
        shutil.copytree(phantom_path(), folder / parent / "mine")
    return ["--model", folder / "one" / "mine", "--model", folder / "two" / "mine", "--dataset", "phantom"]


def narrower(folder: Path) -> Path:
    shutil.copytree(phantom_path(), folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["text_config"]["hidden_size"] //= 2
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


WRONG: dict[str, tuple[Call, str]] = {
    "unknown model": (lambda _: ["--model", "phantm"], "unknown model 'phantm'"),
    "unknown data set": (lambda _: ["--dataset", "bussi"], "'bussi' is neither one of busi"),
    "missing data root": (lambda folder: ["--data-root", folder / "nowhere"], "no data folder {folder}/nowhere"),
    "data set not there": (lambda folder: ["--dataset", "busi", "--data-root", folder], "{folder}"),
    "folder without safetensors": (
        lambda folder: ["--model", checkpoint(folder / "mine", None)],
        "{folder}/mine has no safetensors weights",
    ),
    "pickles only": (
        lambda folder: ["--model", checkpoint(folder / "mine", "pytorch_model.bin")],
        "{folder}/mine has weights only as pytorch_model.bin",
    ),
    "broken manifest": (lambda folder: ["--dataset", manifest(folder, "name = ")], "{folder}/mine.toml"),
    "incomplete manifest": (
        lambda folder: ["--dataset", manifest(folder, MANIFEST.replace("prompt", "promt"))],
        "{folder}/mine.toml",
    ),
    "operating point of no class": (
        lambda folder: ["--dataset", manifest(folder, f"{MANIFEST}[operating_point]\nsensitivity = {{c = 0.9}}")],
        "operating_point.sensitivity names 'c', but the classes are a, b",
    ),
    "class without images": (lambda folder: ["--dataset", manifest(folder)], "b/*.png"),
    "two models of one name": (namesakes, "two models are named 'mine'"),
    "missing thresholds": (lambda folder: ["--thresholds", folder / "t.toml"], "{folder}/t.toml"),
    "missing criteria": (lambda folder: ["--acceptance", folder / "c.toml"], "{folder}/c.toml cannot be read"),
    "criteria beside thresholds": (
        lambda folder: [
            *("--acceptance", written(folder / "c.toml", "[retention]\nllm = 0.8")),
            *("--thresholds", written(folder / "t.toml", "")),
        ],
        "leave out --thresholds",
    ),
    "a measure that the data set does not have": (
        lambda folder: ["--thresholds", written(folder / "t.toml", "[least]\nsensitivity.nodule = 0.9")],
        "[least] requires sensitivity.nodule, which is no measure of phantom; its measures are auroc, ",
    ),
    "nothing required": (lambda folder: ["--gate", "least"], "--gate least needs a [least] table"),
    "missing adapter": (lambda folder: ["--adapter", folder / "adapter"], "{folder}/adapter"),
    "missing modules": (lambda folder: ["--modules", folder / "m.toml"], "{folder}/m.toml"),
    "unknown part": (
        lambda folder: ["--modules", written(folder / "m.toml", "bridge = 'x'")],
        "names bridge; the parts",
    ),
    "adapter without weights": (
        lambda folder: ["--adapter", written(folder / "own" / "adapter_config.json", "{}").parent],
        "{folder}/own has no adapter_model.safetensors",
    ),
    "unknown reference": (lambda _: ["--reference", "resnet5O"], "unknown reference 'resnet5O'"),
    "unknown second checkpoint": (
        lambda folder: ["--against", folder / "nowhere"],
        "--against: there is no folder {folder}/nowhere",
    ),
    "second checkpoint of another architecture": (
        lambda folder: ["--against", narrower(folder / "mine")],
        "is of another architecture than phantom, so their modules cannot be swapped: text_config.hidden_size is",
    ),
    "second checkpoint for several models": (
        lambda folder: ["--model", "phantom", "--model", "phantom-llm", "--against", "phantom"],
        "--against makes sense for one model",
    ),
    "option for one model": (
        lambda folder: ["--model", "phantom", "--model", "phantom-llm", "--processor", "p"],
        "--processor makes sense for one model",
    ),
}


def assert_refused(run_: Run, says: str) -> None:
    assert run_.code == pytest.ExitCode.USAGE_ERROR, run_.out + run_.err
    lines = [line for line in run_.err.splitlines() if line.strip()]
    assert len(lines) == 1, run_.err
    assert lines[0].startswith("ERROR: ")
    assert says in lines[0]
    assert "Traceback" not in run_.out + run_.err
    assert not run_.report_dir.exists()


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_call_is_refused_in_one_sentence(wrong, workers, tmp_path):
    call, says = WRONG[wrong]
    refused = medprobe(*call(tmp_path), "-n", workers, report_dir=tmp_path / "reports")
    assert_refused(refused, says.format(folder=tmp_path))


ELSEWHERE = ("-c", ROOT / "pyproject.toml", ROOT / "diagnostics")


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    "text", ["data_root = ", 'data_rot = "/data"', '[[accepted]]\nmodel = "m"\ndataset = "d"\nmode = "nonsense"\n']
)
def test_wrong_medprobe_toml_is_refused(text, workers, tmp_path):
    (tmp_path / "medprobe.toml").write_text(text)
    refused = medprobe(*ELSEWHERE, "-n", workers, report_dir=tmp_path / "reports", cwd=tmp_path)
    assert_refused(refused, str(tmp_path / "medprobe.toml"))


@pytest.mark.parametrize("load", ["-p", "PYTEST_PLUGINS"])
def test_clash_of_options_names_the_plugin(load, tmp_path):
    (tmp_path / "precision_tool.py").write_text(
        "def pytest_addoption(parser):\n    parser.getgroup('precision').addoption('--dtype', dest='precision')\n"
    )
    variables: dict[str, Any] = {"PYTHONPATH": str(tmp_path)}
    arguments = ["-p", "precision_tool"] if load == "-p" else []
    if load != "-p":
        variables[load] = "precision_tool"
    refused = medprobe("--collect-only", *arguments, report_dir=tmp_path / "reports", **variables)
    assert_refused(
        refused, "--dtype also belongs to the plugin precision_tool; leave that out with -p no:precision_tool"
    )


def test_clash_is_mended_as_advised(tmp_path):
    (tmp_path / "precision_tool.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--dtype', dest='precision')\n"
    )
    mended = medprobe(
        *("--collect-only", "-q", "-p", "no:precision_tool"),
        report_dir=tmp_path / "reports",
        PYTHONPATH=str(tmp_path),
        PYTEST_PLUGINS="precision_tool",
    )
    assert mended.code == 0, mended.err
    assert mended.out.count("[phantom-phantom]") >= 4
