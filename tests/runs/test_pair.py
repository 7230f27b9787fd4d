"""`medprobe diagnose-pair`: before and after tuning, each against the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from medprobe.commands.pair import calls, main
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.saved import read_report
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.registry import resolve
from tests.runs.calling import medprobe


def broken_and_mended(folder: Path) -> tuple[Path, Path]:
    """A checkpoint whose connector is destroyed, and an adapter that brings the sound one."""
    import peft

    from medprobe.fixtures.models.loading import load as load_model

    broken = ModelOnDemand(resolve("phantom-connector"), Settings(folder / "store")).load()
    broken.model.save_pretrained(folder / "broken")
    broken.processor.save_pretrained(folder / "broken")
    lora = peft.LoraConfig(r=1, target_modules=["q_proj"], modules_to_save=["multi_modal_projector"])
    peft.get_peft_model(load_model(resolve("phantom")).model, lora).save_pretrained(folder / "mended")
    return folder / "broken", folder / "mended"


@pytest.mark.slow
def test_what_tuning_gained_is_named(store: Path, small: Path, tmp_path: Path) -> None:
    broken, mended = broken_and_mended(tmp_path)
    run = medprobe(
        *("diagnose-pair", "--model", broken, "--adapter", mended, "--dataset", small, "--store", store, "-n", "0"),
        report_dir=tmp_path / "pair",
        program="medprobe",
        cwd=tmp_path,
    )
    assert run.code == 0, run.out + run.err  # of the run after: the one before fails
    assert "cannot be rewritten" not in run.out
    (before,), (after,) = (
        read_report(tmp_path / "pair" / name / "report.json").diagnoses for name in ("before", "after")
    )
    assert (before.verdict, before.settings["adapter"]) == ("fail", None)
    assert (after.verdict, after.settings["adapter"]) == ("pass", "mended")
    assert before.cause is not None
    assert after.cause is not None
    assert (before.cause.against, before.cause.module) == ("broken (adapter mended)", "connector")
    assert (after.cause.against, after.cause.module) == ("broken", None)
    assert before.cause.difference == pytest.approx(-(after.cause.difference or 0))
    page = (tmp_path / "pair" / "comparison.html").read_text("utf-8")
    links = set(re.findall(r'href="([^"]+/index\.html)"', page))
    assert links == {"before/broken-small/index.html", "after/broken-small/index.html"}
    assert all((tmp_path / "pair" / link).is_file() for link in links)
    assert "before and after: " in run.out


def test_each_run_is_given_the_other_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    (tmp_path / "lora" / "adapter_model.safetensors").write_bytes(b"weights")
    folder, runs = calls(["--model", "phantom", "--adapter", "lora", "--dataset", "d", "-n", "2", "--gate", "both"])
    assert folder == Path("reports")
    lora, shared = str(tmp_path / "lora"), ["--dataset", "d", "-n", "2"]
    assert runs == {
        "before": ["--model", "phantom", "--against", lora, *shared, "--gate", "absolute"],
        "after": ["--model", "phantom", "--adapter", lora, "--against", "phantom", *shared, "--gate", "both"],
    }
    (tmp_path / "medprobe.toml").write_text('report_dir = "out"\n')
    folder, runs = calls(["--model", "phantom", "--after", "phantom-llm", "--save-baseline", "b.json"])
    assert folder == Path("out")
    assert runs == {
        "before": ["--model", "phantom", "--against", "phantom-llm", "--gate", "absolute"],
        "after": [
            *("--model", "phantom-llm", "--tuned-from", "phantom", "--against", "phantom"),
            *("--save-baseline", "b.json"),
        ],
    }


def test_a_wrong_run_after_is_refused_before_the_first_has_run(small: Path, tmp_path: Path) -> None:
    refused = medprobe(
        *("diagnose-pair", "--model", "phantom", "--after", "phantom-llm", "--dataset", small, "--gate", "regression"),
        report_dir=tmp_path / "pair",
        program="medprobe",
        cwd=tmp_path,
    )
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.count("\n") == 1 + refused.err.endswith("\n\n")
    assert "--gate regression needs a baseline" in refused.err
    assert not (tmp_path / "pair").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "diagnose-pair: the following arguments are required: --model"),
        (["--model", "phantom"], "one of the arguments --adapter --after is required"),
        (["--model", "phantom", "--adapter", "a", "--after", "b"], "--after: not allowed with argument --adapter"),
        (["--model", "phantom", "--adapter", "nowhere"], "there is no adapter folder"),
        (["--model", "phantom", "--after", "./nowhere"], "--after: there is no folder nowhere"),
        (["--model", "phantom", "--after", "phantom"], "are both named 'phantom'"),
        (["--model", "phantom", "--model", "phantom-llm", "--after", "x"], "of one model, and 2 are given"),
        (["--model", "phantom", "--after", "phantom-llm", "--against=x"], "diagnose-pair takes no --against"),
        (["--model", "phantom", "--after", "phantom-llm", "--shard", "1/2"], "diagnose-pair takes no --shard"),
    ],
)
def test_a_wrong_pair_is_refused_in_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
