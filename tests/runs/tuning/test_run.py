"""Whole runs on a few drawn images: what falls, what stays, and what a stopped one leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medprobe.diagnostics.diagnosis import diagnose
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.tuning.plan import Parts, TuneError, TuningPlan
from medprobe.diagnostics.tuning.run import FACTS, HELD_OUT, STATES, Refused, Tuned, tune
from medprobe.diagnostics.tuning.schedule import passes, rows_of
from medprobe.fixtures.datasets.errors import DataError
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve

PLAN = TuningPlan(epochs=2, batch=8, micro_batch=4, rate=3e-3, rank=4, save_every=2, checkpointing=False)
Tiny = Callable[[str], Path]


def run(folder: Path, manifest: Path, out: Path, plan: TuningPlan = PLAN, say: Callable[[str], None] = print) -> Tuned:
    return tune(resolve(str(folder)), manifest, out, plan, say=say)


def losses(out: Path) -> list[float]:
    return json.loads((out / "loss.json").read_text("utf-8"))["loss"]


def weights(folder: Path, adapter: Path | None = None) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The weights, and to which part each belongs."""
    loaded = load(resolve(str(folder)), LoadOptions(adapter=None if adapter is None else str(adapter)))
    a = loaded.anatomy
    # The connector may lie in the tower.
    parts = {"connector": a.connector, "tower": a.tower, "head": a.head, "llm": a.decoder}
    found = loaded.model.state_dict()
    return found, {n: next((p for p, path in parts.items() if n.startswith(f"{path}.")), "else") for n in found}


def changed(folder: Path, adapter: Path) -> set[str]:
    """Parts with a weight that is not bit-equal."""
    before, parts = weights(folder)
    after, _ = weights(folder, adapter)
    return {parts[name] for name in before if not before[name].equal(after[name])}


@pytest.mark.parametrize(
    ("family", "parts", "tuned"),
    [
        ("llava", "connector-llm", {"connector", "llm"}),
        pytest.param("qwen2_5_vl", "connector-llm", {"connector", "llm"}, marks=pytest.mark.slow),
        ("internvl", "tower", {"tower"}),
        pytest.param("gemma3", "tower-connector-llm", {"tower", "connector", "llm"}, marks=pytest.mark.slow),
    ],
)
def test_the_loss_falls_and_what_is_frozen_stays(
    tiny: Tiny, drawn: Path, tmp_path: Path, family: str, parts: Parts, tuned: set[str]
) -> None:
    plan = replace(PLAN, parts=parts, checkpointing=True, epochs=6, rate=5e-3)
    run(tiny(family), drawn, tmp_path / "out", plan)
    found = losses(tmp_path / "out")
    assert len(found) == plan.n_steps(json.loads((tmp_path / "out" / FACTS).read_text())["tuned"]["images"])
    assert max(found[-3:]) < min(found[:2])
    assert changed(tiny(family), tmp_path / "out") == tuned
    assert (tmp_path / "out" / "head.safetensors").exists() == (parts == "tower")
    assert not (tmp_path / "out" / STATES).exists()


def test_embeddings_and_norms_of_the_llm_stay(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    run(tiny("llava"), drawn, tmp_path, replace(PLAN, epochs=0.5))
    before, _ = weights(tiny("llava"))
    after, _ = weights(tiny("llava"), tmp_path)
    moved = [name for name in before if "language_model" in name and not before[name].equal(after[name])]
    assert moved
    assert all(name.endswith("_proj.weight") for name in moved)


def test_adapter_and_manifest_go_through_a_diagnosis(drawn: Path, tmp_path: Path) -> None:
    spec = resolve("phantom")
    tuned = tune(spec, drawn, tmp_path / "out", replace(PLAN, epochs=0.5))
    settings = Settings(store=tmp_path / "store", load=LoadOptions(adapter=str(tuned.adapter)))
    found, predictions = diagnose(ModelOnDemand(spec, settings), "drawn", lambda: tuned.held_out, lambda *_: None)
    assert found.error is None
    assert found.n_images == tuned.facts["held_out"]["images"]
    assert found.n_groups == tuned.facts["held_out"]["patients"]
    assert found.settings["images_seen_in_training_left_out"] == 60 - found.n_images
    assert predictions is not None


class Killed(BaseException):
    """What ends a process."""


def killed_at(step: str) -> Callable[[str], None]:
    def say(line: str) -> None:
        if line.startswith(step):
            raise Killed

    return say


@pytest.mark.parametrize("parts", ["connector-llm", "tower"])
def test_a_killed_run_ends_as_an_undisturbed_one(tiny: Tiny, drawn: Path, tmp_path: Path, parts: Parts) -> None:
    plan = replace(PLAN, parts=parts)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(tiny("llava"), drawn, whole, plan)
    with pytest.raises(Killed):
        run(tiny("llava"), drawn, killed, plan, killed_at("step 5/"))
    assert [path.name for path in (killed / STATES).iterdir()] == ["step-000000004"]
    assert not (killed / "adapter_config.json").exists()
    # What a process that died while it saved would leave.
    (killed / STATES / "draft").mkdir()
    (killed / STATES / "draft" / "losses.json").write_text("[0.1, 0.")
    said: list[str] = []
    run(tiny("llava"), drawn, killed, plan, said.append)
    assert "going on after step 4" in said
    assert losses(killed) == losses(whole)
    for name in ("adapter_model.safetensors", *(["head.safetensors"] if parts == "tower" else [])):
        before, after = load_file(whole / name), load_file(killed / name)
        assert before.keys() == after.keys()
        assert all(before[key].equal(after[key]) for key in before)


def test_a_finished_run_is_left_and_another_refused(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    run(tiny("llava"), drawn, tmp_path, replace(PLAN, epochs=0.5))
    held = (tmp_path / HELD_OUT).stat().st_mtime_ns
    said: list[str] = []
    run(tiny("llava"), drawn, tmp_path, replace(PLAN, epochs=0.5, save_every=7), said.append)
    assert said == [f"{tmp_path} is finished, and is left as it is"]
    assert (tmp_path / HELD_OUT).stat().st_mtime_ns == held
    with pytest.raises(Refused, match="rank was 4 and is 8"):
        run(tiny("llava"), drawn, tmp_path, replace(PLAN, epochs=0.5, rank=8))


def test_one_process_a_folder(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    refused: list[str] = []

    def second(line: str) -> None:
        def call() -> None:
            try:
                run(tiny("llava"), drawn, tmp_path / "out")
            except Refused as error:
                refused.append(str(error))

        if line.startswith("step 1/"):
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
            raise Killed

    with pytest.raises(Killed):
        run(tiny("llava"), drawn, tmp_path / "out", say=second)
    assert refused == [f"another process is tuning into {tmp_path / 'out'}; give another folder as --out, or wait"]


def test_a_folder_of_other_things_is_refused(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years")
    with pytest.raises(Refused, match="is not empty and holds no tuning run"):
        run(tiny("llava"), drawn, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


def torn(drawn: Path, folder: Path, n: int) -> Path:
    """The drawn set with `n` images of every class cut short."""
    import shutil

    shutil.copytree(drawn.parent, folder)
    for kind in ("normal", "benign", "malignant"):
        for image in sorted((folder / "images" / kind).glob("*_0.png"))[:n]:
            image.write_bytes(image.read_bytes()[:200])
    return folder / drawn.name


def test_unreadable_images_are_named_counted_and_left_out(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    said: list[str] = []
    plan = replace(PLAN, epochs=0.5, max_excluded=0.9)
    tuned = run(tiny("llava"), torn(drawn, tmp_path / "torn", 6), tmp_path / "out", plan, said.append)
    named = [line for line in said if line.startswith("left out: image ")]
    assert len(named) == len(tuned.facts["excluded"]) >= 1
    whole = run(tiny("llava"), drawn, tmp_path / "whole", plan)
    assert tuned.facts["tuned"]["images"] == whole.facts["tuned"]["images"] - len(named)


def test_too_many_unreadable_images_are_an_error(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=r"cannot be read, more than --max-excluded 0\.01 allows"):
        run(tiny("llava"), torn(drawn, tmp_path / "torn", 6), tmp_path / "out")


def test_a_loss_that_is_no_number_ends_the_run(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(TuneError, match=r"the loss is not a number in step \d; give a smaller --learning-rate"):
        run(tiny("llava"), drawn, tmp_path, replace(PLAN, rate=1e30))


def test_too_little_memory_is_one_sentence(
    tiny: Tiny, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("medprobe.diagnostics.tuning.learners.AnswerLearner.forward", forward)
    with pytest.raises(TuneError, match="give a smaller --micro-batch than 4"):
        run(tiny("llava"), drawn, tmp_path)


def test_a_class_on_one_side_alone_is_refused(tiny: Tiny, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give another --held-out"):
        run(tiny("llava"), drawn, tmp_path / "out", replace(PLAN, held_out=0.02))


def test_every_image_once_an_epoch_whatever_the_number_of_processes() -> None:
    n_images, batch = 13, 4
    rows = [int(row) for step in range(13) for row in rows_of(step, n_images, batch, seed=1)]
    assert [sorted(rows[i : i + 13]) for i in range(0, 52, 13)] == [list(range(13))] * 4
    assert rows[:13] != rows[13:26]
    for n in (1, 2, 3):
        shared = [row for process in range(n) for piece in passes(rows_of(3, 13, 4, 1), process, n, 2) for row in piece]
        assert sorted(shared) == sorted(rows[12:16])


def test_the_rate_rises_and_falls() -> None:
    rates = [TuningPlan(rate=1.0).rate_at(step, 100) for step in range(100)]
    assert rates[4] == max(rates) == 1.0
    assert rates[0] == pytest.approx(0.2)
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001
