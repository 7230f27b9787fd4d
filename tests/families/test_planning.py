"""The plan says what a run then reads, stores and needs."""

from __future__ import annotations

import functools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.planning import cost as costs
from medprobe.diagnostics.planning.checkpoint import PlannedCheckpoint, describe
from medprobe.diagnostics.planning.cost import cost, stored
from medprobe.diagnostics.planning.gpus import GPUS, Gpu
from medprobe.diagnostics.planning.makespan import Job, shards, whole_models
from medprobe.diagnostics.planning.pictures import Pictures, count, published
from medprobe.diagnostics.planning.plan import CallPlan, table
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import registry, resolve
from medprobe.fixtures.models.size.shapes import UnknownArchitecture
from medprobe.plugins.call import PUBLISHED
from tests.family_names import FAMILIES
from tests.runs.calling import medprobe

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
PAPER = [alias for alias, entry in registry().items() if entry.paper]
SIDES = [(32, 32), (20, 75), (75, 20), (200, 31), (64, 48), (33, 90)]


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_processor(family: str, checkpoints: dict[str, Path]) -> None:
    from PIL import Image

    from medprobe.fixtures.models.chat import inputs
    from medprobe.fixtures.models.loading import load

    spec = resolve(str(checkpoints[family]))
    checkpoint = describe(spec, None, None)
    text, counted = checkpoint.text_tokens(PROMPT)
    assert counted

    loaded = load(spec)
    for size in SIDES:
        batch = inputs(loaded, [Image.new("RGB", size)], PROMPT)
        assert checkpoint.view(*size).tokens + text == batch["input_ids"].shape[1], size


def test_an_unknown_architecture_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["llava"], tmp_path / "other")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config["text_config"]), "utf-8")
    with pytest.raises(UnknownArchitecture, match="the cost of model type llama is not known"):
        describe(resolve(str(folder)), None, None)
    known = describe(resolve(str(checkpoints["llava"])), None, None)
    with pytest.raises(UnknownArchitecture, match="the image tokens of model type other are not known"):
        replace(known, shape=replace(known.shape, family="other")).view(32, 32)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_the_loaded_model(family: str, checkpoints: dict[str, Path]) -> None:
    from medprobe.fixtures.models.loading import load

    spec = resolve(str(checkpoints[family]))
    model = load(spec).model
    shape = describe(spec, None, None).shape
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    embeddings = {
        id(part.weight): part.weight for part in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    assert shape.embedding_parameters == sum(weight.numel() for weight in embeddings.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_are_those_of_the_store(family: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    from medprobe.diagnostics.extraction.measurement import measure
    from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.phantoms.images import draw_dataset

    draw_dataset(tmp_path, 12, 2, 3)
    manifest = tmp_path / "manifest.toml"
    spec, settings = resolve(str(checkpoints[family])), Settings(tmp_path / "store", max_new_tokens=2)
    found = measure(ModelOnDemand(spec, settings), open_dataset(manifest, None), lambda *_: None)
    pictures = count(manifest, None, None, 0)
    held = sum(path.stat().st_size for path in found.folder.path.glob("*.safetensors"))
    planned = stored(describe(spec, None, None).shape, len(pictures.answers), pictures.n)
    assert planned == pytest.approx(held, rel=0.02)


def test_constants_are_those_of_the_extraction() -> None:
    from medprobe.diagnostics.extraction import options, pooling
    from medprobe.fixtures.models.size import memory

    assert memory.GRID == pooling.GRID**2
    assert costs.RANDOM_DRAWS == options.RANDOM_DRAWS


@functools.cache
def known(alias: str) -> PlannedCheckpoint:
    """A registered model, built on the meta device once."""
    return describe(resolve(alias), None, None)


def of(alias: str, gpu: Gpu, dataset: str = "busi", **load: Any) -> costs.Cost:
    pictures = published(catalog.resolve(dataset), None)
    return cost(resolve(alias), known(alias), pictures, Settings(Path(), load=LoadOptions(**load)), gpu)


def test_a_model_takes_as_many_gpus_as_it_needs() -> None:
    small, large = (of("lingshu-32b", GPUS[name]) for name in ("l4", "h200"))
    assert (small.n_gpus, large.n_gpus) == (3, 1)
    assert small.memory_per_gpu <= GPUS["l4"].memory
    assert small.batch < large.batch == 16
    assert of("lingshu-32b", GPUS["l4"], quantize="4bit").n_gpus == 1


def test_more_images_cost_in_proportion() -> None:
    spec = resolve("medgemma")
    checkpoint, settings = known("medgemma"), Settings(Path(), controls="full")

    def hours(n: int) -> float:
        pictures = Pictures("x", (((500, 500), n),), PROMPT, ("normal", "pneumonia"))
        return cost(spec, checkpoint, pictures, settings, GPUS["h100"]).hours

    assert hours(16_000) == pytest.approx(10 * hours(1600), rel=0.02)


JOBS = st.lists(st.builds(Job, st.floats(0.1, 50), st.integers(1, 3)), min_size=1, max_size=12)


@given(JOBS, st.integers(3, 20))
def test_whole_models_keep_to_their_bounds(jobs: list[Job], n_gpus: int) -> None:
    span = whole_models(jobs, n_gpus)
    assert span is not None
    work = sum(job.hours * job.gpus for job in jobs)
    longest = max(job.hours for job in jobs)
    assert max(longest, work / n_gpus) <= span + 1e-9
    assert span <= sum(job.hours for job in jobs) + 1e-9
    if all(job.gpus == 1 for job in jobs):
        # Graham 1966: no list schedule is longer.
        assert span <= work / n_gpus + longest * (1 - 1 / n_gpus) + 1e-9
        assert shards(jobs, n_gpus) == pytest.approx(work / n_gpus)


def test_a_model_larger_than_all_gpus_has_no_span() -> None:
    assert whole_models([Job(1, 2)], 1) is None
    assert shards([Job(1, 2)], 1) is None


@pytest.mark.parametrize("gpu", GPUS)
def test_the_table_fits_the_terminal(gpu: str) -> None:
    assert len(PAPER) == 14
    plan = CallPlan(
        GPUS[gpu],
        tuple(of(alias, GPUS[gpu], dataset) for alias in PAPER for dataset in PUBLISHED),
        ("x cannot be planned.",),
        (),
    )
    assert max(map(len, table(plan).splitlines())) <= 80


def test_the_plan_reads_no_weights_and_runs_nothing(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["llava"], tmp_path / "empty")
    (folder / "model.safetensors").write_bytes(b"")
    run = medprobe("--plan", "--model", "phantom", "--model", folder, "--dataset", "phantom", report_dir=tmp_path / "r")
    assert run.code == 0
    assert "empty" in run.out
    assert "cannot be planned" not in run.out
    run = medprobe("--plan", "l4", "--model", "phantom", report_dir=tmp_path)
    assert run.code == 0
    assert (tmp_path / "plan.json").is_file()
    record = json.loads((tmp_path / "plan.json").read_text("utf-8"))
    assert record["gpu"]["name"] == "l4"
    assert record["costs"][0]["images"] == 600
    assert "phantom" in run.out


@pytest.mark.slow
def test_what_cannot_be_planned_is_said(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints["llava"], tmp_path / "other")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "no_such"}), "utf-8")
    run = medprobe("--plan", "--model", folder, "--model", "medgemma", "--dataset", "busi", report_dir=tmp_path)
    assert run.code == 0
    assert "other cannot be planned: " in run.out
    assert "busi was not found here; as published" in run.out
    assert medprobe("--plan", "--model", "no-such", report_dir=tmp_path).code == 4
