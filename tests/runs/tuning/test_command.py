"""`medprobe tune` as it is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from medprobe.commands import tune
from tests.places import ROOT
from tests.runs.calling import HEAVY, SETTLED

GOOD = ["--model", "phantom", "--dataset", "phantom"]
WRONG: dict[str, tuple[Callable[[Path], list[str | Path]], str]] = {
    "no model": (lambda folder: ["--dataset", "phantom", "--out", folder], "required: --model"),
    "unknown model": (lambda f: ["--model", "phantm", "--dataset", "phantom", "--out", f], "unknown model 'phantm'"),
    "unknown data set": (lambda f: ["--model", "phantom", "--dataset", "bussi", "--out", f], "'bussi' is neither one"),
    "unknown option": (lambda folder: [*GOOD, "--out", folder, "--lora", "8"], "--lora"),
    "unknown parts": (lambda folder: [*GOOD, "--out", folder, "--parts", "llm"], "tower-connector-llm"),
    "no share": (lambda folder: [*GOOD, "--out", folder, "--held-out", "50"], "50 is not a share between 0 and 1"),
    "no rate": (lambda folder: [*GOOD, "--out", folder, "--learning-rate", "0"], "0 is not a number above 0"),
    "half precision": (lambda folder: [*GOOD, "--out", folder, "--dtype", "float16"], "float32 or bfloat16"),
    "data not there": (lambda folder: [*GOOD, "--out", folder, "--data-root", folder / "no"], "{folder}/no"),
    "planted fault": (lambda f: ["--model", "phantom-llm", "--dataset", "phantom", "--out", f], "planted fault"),
    "modules not there": (lambda folder: [*GOOD, "--out", folder, "--modules", folder / "m.toml"], "{folder}/m.toml"),
    "out is a file": (lambda folder: [*GOOD, "--out", ROOT / "README.md"], "README.md is a file; name a folder"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_call_is_refused_in_one_sentence(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, says = WRONG[wrong]
    assert tune.main([str(word) for word in call(tmp_path)]) == 4
    said = capsys.readouterr()
    assert says.format(folder=tmp_path) in said.err
    assert said.err.count("\n") == 1
    assert not said.out


def test_without_peft_a_sentence_says_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "peft" else object())
    assert tune.main([*GOOD, "--out", str(tmp_path)]) == 4
    assert capsys.readouterr().err == "tuning needs the package peft: pip install '.[tune]'\n"


def test_a_wrong_call_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from medprobe.commands import tune; code = tune.main(sys.argv[1:]); assert code == 4; " + (
        f"assert not {set(HEAVY) | {'peft', 'accelerate'}!r} & set(sys.modules)"
    )
    call = [sys.executable, "-c", code, "--model", "nowhere", "--dataset", "phantom", "--out", str(tmp_path)]
    subprocess.run(call, cwd=ROOT, check=True, capture_output=True, timeout=60)


@pytest.mark.slow
def test_the_command_tunes_in_half_precision(drawn: Path, tmp_path: Path) -> None:
    """Weights in bfloat16, those that are tuned in float32; and the call that it prints is one of the suite's."""
    out = tmp_path / "out"
    call = ["tune", "--model", "phantom", "--dataset", str(drawn), "--out", str(out), "--max-images", "12"]
    call += ["--epochs", "1", "--batch-size", "6", "--dtype", "bfloat16", "--gradient-checkpointing"]
    clean = {name: value for name, value in os.environ.items() if not SETTLED.match(name)}
    done = subprocess.run(
        [sys.executable, "-m", "medprobe", *call],
        cwd=ROOT,
        env={**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"medprobe --model phantom --adapter {out} --dataset {out / 'held-out.toml'}\n"
    assert "Warning" not in done.stderr
    assert "step 2/2" in done.stderr
    from safetensors.torch import load_file

    assert {str(value.dtype) for value in load_file(out / "adapter_model.safetensors").values()} == {"torch.float32"}
