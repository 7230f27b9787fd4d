"""The supervised reference: which network a name means, how it is read, and that it is read once a data set."""

from __future__ import annotations

import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from medprobe.diagnostics import evidence, reference_presets
from medprobe.diagnostics.extraction.measurement import Measurement
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.probes import folds
from medprobe.diagnostics.probes.reading import Reading
from medprobe.diagnostics.probes.ridge import read_ridge
from medprobe.diagnostics.references import kmeans, networks, training
from medprobe.diagnostics.references.reading import ReferenceRows, read_reference
from medprobe.diagnostics.settings import Settings
from medprobe.diagnostics.store import Folder, Shard
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms.images import draw_dataset

Ints = NDArray[np.int64]
TINY = "test_convnext.r160_in1k"


def silent(*_: object) -> None:
    """No progress."""


def scratch(pixels: NDArray[np.uint8], labels: Ints, fold: Ints, network: str = TINY, **recipe: Any) -> Reading:
    asked = training.Recipe(side=pixels.shape[-1], **recipe)
    return training.read_from_scratch(network, lambda _: pixels, labels, fold, 0, asked, lambda _, c: c(), silent)


@pytest.fixture
def rows(tmp_path: Path) -> ReferenceRows:
    """18 phantom images of 9 patients."""
    dataset = open_dataset(draw_dataset(tmp_path / "drawn", 9, 2, seed=3), None, None, 0)
    labels, groups = (np.array([getattr(image, name) for image in dataset.images]) for name in ("label", "group"))
    return ReferenceRows(
        dataset.images, labels, groups, folds.assign(labels, groups, 5, 0), {"data": "drawn", "probe": "ridge"}
    )


@pytest.fixture
def asked(tmp_path: Path) -> Settings:
    return Settings(store=tmp_path / "store", reference=TINY, load=LoadOptions(offline=True))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry a network trained; nothing is trained."""
    calls: list[int] = []

    def train(name: str, pixels: Any, sight: Any, labels: Ints, training: Any, wanted: Any, *_: Any) -> Any:
        calls.append(int(training.sum()))
        return np.log(np.full((int(wanted.sum()), int(labels.max()) + 1), 0.5))

    monkeypatch.setattr(training, "_train", train)
    return calls


@pytest.mark.parametrize(
    "name", [reference_presets.DEFAULT, *reference_presets.PRESETS, "resnet50", "resnet50.a1_in1k", "test_vit"]
)
def test_a_known_name_is_a_network(name: str) -> None:
    network = reference_presets.resolve(name)
    assert network == reference_presets.PRESETS.get(name, name)
    assert network == reference_presets.DEFAULT or timm.is_model(network)


@pytest.mark.parametrize("kind", reference_presets.PRESETS)
def test_the_presets_are_alike_but_in_kind(kind: str) -> None:
    with torch.device("meta"):
        network = timm.create_model(reference_presets.PRESETS[kind])
    assert 22e6 < sum(parameter.numel() for parameter in network.parameters()) < 31e6
    assert networks.Sight.of(reference_presets.PRESETS[kind]).height == 224
    published = timm.get_pretrained_cfg(reference_presets.PRESETS[kind])
    assert published is not None
    assert published.hf_hub_id == f"timm/{reference_presets.PRESETS[kind]}"


def test_the_names_read_from_source_are_those_timm_registers() -> None:
    assert reference_presets._architectures() == set(timm.list_models())
    assert all(reference_presets._NAME.fullmatch(name) for name in timm.list_models(pretrained=True))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet5O", "unknown reference 'resnet5O'.*near it: .*resnet50"),
        ("kmeans", "it is kmeans-filters, cnn, mlp, vit, hybrid or a network of timm; near it: kmeans-filters"),
        ("zzzzzzzzzzzzzzzz", "a network of timm$"),
        ("hf-hub:org/name", "is no name of a reference"),
        ("../resnet50", "is no name of a reference"),
        ("résnet50", "is no name of a reference"),
        ("", "is no name of a reference"),
    ],
)
def test_an_unknown_name_is_one_sentence(name: str, says: str) -> None:
    with pytest.raises(reference_presets.UnknownReference, match=says):
        reference_presets.resolve(name)


def test_an_unknown_tag_names_the_known_ones() -> None:
    with pytest.raises(reference_presets.UnknownReference, match=r"resnet50\.nope.*resnet50\.a1_in1k"):
        networks.weights_at_hand("resnet50.nope", offline=True)


def test_without_timm_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert reference_presets.resolve(reference_presets.DEFAULT) == reference_presets.DEFAULT
    with pytest.raises(reference_presets.UnknownReference, match=r"pip install timm"):
        reference_presets.resolve("cnn")


def test_a_network_learns_an_easy_difference() -> None:
    labels = np.arange(24) % 2
    fold = folds.assign(labels, np.arange(24), 3, 0)
    pixels = np.random.default_rng(0).normal(128, 20, (24, 3, 32, 32)) + 80 * labels[:, None, None, None]
    reading = scratch(pixels.clip(0, 255).astype(np.uint8), labels, fold, epochs=5, batch=8, learning_rate=2e-3)
    assert np.mean(reading.predictions == labels) > 0.9
    assert reading.inner_accuracy.min() > 0.9
    np.testing.assert_allclose(np.exp(reading.log_probabilities).sum(axis=1), 1)


class Memoriser(torch.nn.Module):
    """Two layers on the mean colour."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(3, 64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, n_classes),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.layers(pictures)


def test_memorising_patients_gets_no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each patient has a colour, neighbours in colour have other labels: who knows the patient knows the label."""
    monkeypatch.setattr(timm, "create_model", lambda _, num_classes=2, **__: Memoriser(num_classes))
    groups = np.repeat(np.arange(8), 6)
    bits = (groups[:, None] >> np.arange(3)) & 1
    labels = bits.sum(axis=1) % 2
    noise = np.random.default_rng(0).normal(0, 5, (len(groups), 3, 8, 8))
    pixels = (64 + 128 * bits[:, :, None, None] + noise).clip(0, 255).astype(np.uint8)

    def read(fold: Ints) -> Reading:
        return scratch(pixels, labels, fold, epochs=40, batch=16, learning_rate=2e-2)

    mixed = read(np.arange(len(groups)) % 3)
    assert np.mean(mixed.predictions == labels) > 0.9
    assert mixed.inner_accuracy.min() > 0.9
    apart = read(folds.assign(labels, groups, 3, 0))
    assert np.mean(apart.predictions == labels) < 0.6
    assert apart.inner_accuracy.mean() < 0.6


def test_scores_are_those_of_equal_priors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that tell nothing leave both classes as likely, though one is four times the other."""
    monkeypatch.setattr(timm, "create_model", lambda _, num_classes=2, **__: Memoriser(num_classes))
    labels = (np.arange(60) % 5 == 0).astype(np.int64)
    fold = folds.assign(labels, np.arange(60), 3, 0)
    reading = scratch(np.full((60, 3, 8, 8), 90, np.uint8), labels, fold, epochs=30, batch=20, learning_rate=2e-2)
    np.testing.assert_allclose(np.exp(reading.log_probabilities), 0.5, atol=0.1)


def test_training_leaves_the_random_state_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", lambda _, num_classes=2, **__: Memoriser(num_classes))
    labels = np.arange(24) % 2
    fold = folds.assign(labels, np.arange(24), 3, 0)
    pixels = np.random.default_rng(1).integers(0, 256, (24, 3, 8, 8)).astype(np.uint8)
    before = torch.random.get_rng_state()
    first, second = (scratch(pixels, labels, fold, epochs=2) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    # Float32, trained twice: what rounding grows to on threads that add in any order.
    np.testing.assert_allclose(first.log_probabilities, second.log_probabilities, atol=1e-3)


def test_pictures_are_mirrored_left_to_right_and_shifted_a_little() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(32, dtype=torch.uint8)[:, None].expand(32, 32) + 100 * (torch.arange(32) == 3)
    moved = training._moved(ramp.expand(40, 3, 32, 32), 1 / 16)
    rows_of = moved[:, 0, :, 16]
    assert (rows_of.diff(dim=1) >= 0).all()
    assert {int(v) for v in rows_of[:, 16]} == {14, 15, 16, 17, 18}
    assert {int(v) for v in moved[:, 0, 0].argmax(dim=1)} == {1, 2, 3, 4, 5, 26, 27, 28, 29, 30}


def test_the_whole_picture_is_seen() -> None:
    from PIL import Image

    picture = Image.new("L", (300, 100))
    picture.paste(255, (0, 0, 12, 100))
    sight = networks.Sight.of("test_vit")
    assert sight.pixels(picture).shape == (3, 160, 160)
    assert sight.pixels(picture)[:, 80, 2].tolist() == [255] * 3


def test_from_scratch_is_said_with_the_reason(rows: ReferenceRows, asked: Settings, trained: list[int]) -> None:
    _, about = read_reference(rows, asked, silent)
    assert (about.network, about.pretrained) == (TINY, False)
    assert about.origin == (
        "trained from scratch on the training part of each fold, 50 epochs; no pretrained weights were found: "
        f"timm/{TINY} is not in the local cache and offline was asked for"
    )
    assert trained == [12, 6] * 3


def test_weights_at_hand_are_read_by_the_probe(
    rows: ReferenceRows, asked: Settings, trained: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    torch.manual_seed(1)
    path = tmp_path / "snapshots" / "0123456789abcdef" / "model.safetensors"
    path.parent.mkdir(parents=True)
    source = timm.create_model(TINY)
    save_file(source.state_dict(), path)
    wanted: list[tuple[Any, ...]] = []

    def download(*where: str, local_files_only: bool) -> str:
        wanted.append((*where, local_files_only))
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    reading, about = read_reference(rows, asked, silent)
    assert wanted == [(f"timm/{TINY}", "model.safetensors", True)]
    assert (about.network, about.pretrained, trained) == (TINY, True, [])
    assert about.origin == f"pretrained weights timm/{TINY}@0123456789ab, read by the probe"
    loaded = networks.pretrained(TINY, networks.Weights(path, ""))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in loaded.state_dict().items())
    features = networks.pooled_features(loaded, networks.Sight.of(TINY), rows.images, silent)
    assert features.shape == (18, source.num_features)
    expected = read_ridge(features, rows.labels, rows.groups, rows.folds)
    np.testing.assert_allclose(reading.log_probabilities, expected.log_probabilities, atol=1e-4)


def test_networks_without_published_weights_say_so() -> None:
    with pytest.raises(networks.NotAtHand, match="none are published"):
        networks.weights_at_hand("test_coatnet", offline=True)


def test_a_second_model_trains_nothing(
    asked: Settings, trained: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = open_dataset(draw_dataset(tmp_path / "drawn", 9, 2, seed=3), None, None, 0)
    digests = [image.digest for image in dataset.images]

    def measure(model: ModelOnDemand, *_: object) -> Measurement:
        spec = model.spec
        folder = Folder(asked.store, spec.name)
        features = np.random.default_rng(len(spec.name)).normal(size=(18, 32)).astype(np.float32)
        loci = ("vision.0.mean", "vision.0.grid", "connector.0.mean", "connector.0.grid", "llm.0.last", "options")
        folder.add(Shard(digests, dict.fromkeys(loci, features), ["normal"] * 18))
        return Measurement(dataset.images, (), spec.name, folder)

    monkeypatch.setattr(evidence, "measure", measure)
    found = [
        evidence.gather(ModelOnDemand(resolve(name), asked), dataset, silent)
        for name in ("phantom", "phantom-connector")
    ]
    assert len(trained) == 6
    assert found[0].reference == found[1].reference
    first, second = (one.readings for one in found)
    np.testing.assert_array_equal(first["reference"].log_probabilities, second["reference"].log_probabilities)
    assert (first["vision.0.mean"].log_probabilities != second["vision.0.mean"].log_probabilities).any()


def test_finished_folds_are_kept(
    rows: ReferenceRows, asked: Settings, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    train: Callable[..., Any] = training._train

    def stops(*given: Any) -> Any:
        if len(trained) == 4:
            raise KeyboardInterrupt
        return train(*given)

    monkeypatch.setattr(training, "_train", stops)
    with pytest.raises(KeyboardInterrupt):
        read_reference(rows, asked, silent)
    monkeypatch.setattr(training, "_train", train)
    read_reference(rows, asked, silent)
    assert len(trained) == 6


def test_another_probe_trains_nothing(rows: ReferenceRows, asked: Settings, trained: list[int]) -> None:
    """A network that has a head of its own is not read by the probe."""
    for probe in ("ridge", "mlp"):
        read_reference(replace(rows, key={**rows.key, "probe": probe}), replace(asked, probe=probe), silent)
    assert len(trained) == 6


def test_another_data_set_or_network_is_trained(rows: ReferenceRows, asked: Settings, trained: list[int]) -> None:
    read_reference(rows, asked, silent)
    read_reference(replace(rows, key={**rows.key, "data": "other"}), asked, silent)
    read_reference(rows, replace(asked, reference="test_vit"), silent)
    assert len(trained) == 18


def test_two_processes_train_once(
    rows: ReferenceRows, asked: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*given: Any) -> Any:
        with (tmp_path / "trained").open("a") as file:
            file.write("x")
        time.sleep(0.05)
        return np.zeros((int(given[5].sum()), 3))

    monkeypatch.setattr(training, "_train", train)
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=read_reference, args=(rows, asked, silent)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "trained").read_text() == "x" * 6


def test_the_default_needs_no_timm(rows: ReferenceRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "features", lambda pixels, _: pixels.reshape(len(pixels), 16, -1))
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace())
    reading, about = read_reference(rows, Settings(store=tmp_path / "store"), silent)
    assert reading.log_probabilities.shape == (18, 3)
    assert about.network == "kmeans-filters-64px-6x6-128"
    assert about.origin.startswith("filters learnt from these images without their labels, read as a stage's exit is")


def test_the_patches_that_filters_are_learnt_from_are_those_of_all_images() -> None:
    """Batch by batch, of which there are three here."""
    stack = torch.rand(40, 1, kmeans.SIDE, kmeans.SIDE, generator=torch.Generator().manual_seed(0))
    rows = np.random.default_rng(0).choice(40 * kmeans.POSITIONS**2, size=500, replace=False)
    whole = kmeans._patches(stack).reshape(-1, kmeans.PATCH**2)
    assert torch.equal(kmeans._rows(stack, rows), whole[torch.from_numpy(rows)])
