"""Data at the edge of what can be judged: the right verdict, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics import diagnosis, evidence, store, subject
from medprobe.diagnostics.controls import null
from medprobe.diagnostics.extraction.measurement import OPTIONS, RANDOM_TOKENS, Measurement
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.judgement.verdicts import Judgement
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset, open_dataset
from medprobe.fixtures.models.registry import resolve

MANIFEST = """
name = "thin"
modality = "drawing"
prompt = "Is it dark or bright?"
root = "images"
[[classes]]
answer = "dark"
images = ["dark_*"]
[[classes]]
answer = "bright"
images = ["bright_*"]
{groups}
"""
NOT_READ = "?"


def drawn(folder: Path, n_dark: int, n_bright: int, groups: str = "", same: bool = False) -> Dataset:
    """Dark and bright noise, each image a patient unless `groups`; `same`: one picture a class."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, n, least in (("dark", n_dark, 0), ("bright", n_bright, 120)):
        picture = rng.integers(least, least + 130, (24, 24), dtype=np.uint8)
        for i in range(n):
            Image.fromarray(picture if same else rng.integers(least, least + 130, (24, 24), dtype=np.uint8)).save(
                folder / "images" / f"{name}_{i:03d}.png"
            )
    (folder / "thin.toml").write_text(MANIFEST.format(groups=groups))
    return open_dataset(folder / "thin.toml", None)


def telling(labels: np.ndarray, width: int = 6) -> np.ndarray:
    """Features that hold the label, [n_images, width]."""
    noise = np.random.default_rng(1).normal(size=(len(labels), width))
    return (noise + 6 * labels[:, None] * (np.arange(width) == 0)).astype(np.float32)


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Judgement]:
    """The judgement of a model that gives these features and texts; every locus not named holds the label. The options
    are a later locus than the llm's, which speaks for it where it reads more.
    """

    def judged(dataset: Dataset, texts: Sequence[str] | None = None, **features: np.ndarray) -> Judgement:
        labels = np.array(dataset.labels())
        loci = ("vision_0_mean", "connector_0_mean", "llm_0_mean", "llm_0_last")
        arrays = {name.replace("_", "."): features.get(name, telling(labels)) for name in loci}
        for stage in ("vision", "connector"):
            arrays[f"{stage}.0.grid"] = np.repeat(arrays[f"{stage}.0.mean"], 16, axis=1)
        likelihoods = -np.abs(np.arange(2)[None] - labels[:, None]).astype(np.float32)
        arrays |= {
            OPTIONS: features.get("options", likelihoods),
            RANDOM_TOKENS: np.zeros((len(labels), 10), np.float32),
        }
        folder = store.Folder(tmp_path / "store", "features")
        said = [dataset.answers[label] for label in labels] if texts is None else list(texts)
        folder.add(store.Shard([image.digest for image in dataset.images], arrays, said))
        monkeypatch.setattr(evidence, "measure", lambda *_: Measurement(dataset.images, (), "features", folder))
        settings = Settings(store=tmp_path / "store")
        found = evidence.gather(ModelOnDemand(resolve("phantom"), settings), dataset, lambda *_: None)
        of_reference = null.of_reference(found)
        return diagnosis.judgement_of(found, of_reference.p)

    return judged


def test_features_that_hold_the_label_pass(judge: Any, tmp_path: Path) -> None:
    assert judge(drawn(tmp_path, 60, 60)).verdict == "pass"


def test_constant_features_hold_nothing(judge: Any, tmp_path: Path) -> None:
    dataset = drawn(tmp_path, 60, 60)
    constant = np.full((120, 6), 3.7, np.float32)
    found = judge(dataset, llm_0_mean=constant, llm_0_last=constant, options=constant[:, :2], texts=[NOT_READ] * 120)
    assert found.primary == "llm_comprehension_deficit"
    assert found.signal["llm"] <= 0
    assert found.signal["connector"] == pytest.approx(1)
    assert found.links["answer"].verdict == "inconclusive"


def test_one_constant_feature_among_others_changes_nothing(judge: Any, tmp_path: Path) -> None:
    dataset = drawn(tmp_path, 60, 60)
    features = telling(np.array(dataset.labels()))
    features[:, 3] = 1e6
    found = judge(dataset, llm_0_mean=features, llm_0_last=features)
    assert (found.verdict, found.signal["llm"]) == ("pass", pytest.approx(1))


def test_answers_none_of_which_can_be_read_are_wrong(judge: Any, tmp_path: Path) -> None:
    found = judge(drawn(tmp_path, 60, 60), texts=[NOT_READ] * 120)
    assert found.primary == "semantic_mapping_misalignment"
    assert [stage for stage, link in found.links.items() if link.verdict == "fail"] == ["answer"]


@pytest.mark.parametrize("width", [200, 2000])
def test_more_features_than_images_read_no_more_than_is_there(width: int, judge: Any, tmp_path: Path) -> None:
    """Noise in many dimensions separates any training set; images held out are read by chance."""
    dataset = drawn(tmp_path, 40, 40)
    noise = np.random.default_rng(2).normal(size=(80, width)).astype(np.float32)
    found = judge(dataset, llm_0_mean=noise, llm_0_last=noise, options=noise[:, :2], texts=[NOT_READ] * 80)
    assert abs(found.signal["llm"]) < 0.4
    assert found.primary == "llm_comprehension_deficit"


def refusal(dataset_of: Callable[[], Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a diagnosis says whose images are measured without a model."""
    dataset = dataset_of()
    folder = store.Folder(tmp_path / "store", "features")
    measured = Measurement(dataset.images, (), "features", folder)
    monkeypatch.setattr(subject, "open_dataset", lambda *_: dataset)
    monkeypatch.setattr(evidence, "measure", lambda *_: measured)
    settings = Settings(store=tmp_path / "store")
    found, predictions = diagnosis.diagnose(
        ModelOnDemand(resolve("phantom"), settings), "thin", lambda: tmp_path, lambda *_: None
    )
    assert (found.verdict, predictions) == (None, None)
    return str(found.error)


@pytest.mark.parametrize(
    ("arguments", "groups"),
    [
        ({"n_dark": 20, "n_bright": 2}, 2),
        ({"n_dark": 20, "n_bright": 20, "same": True}, 1),
        ({"n_dark": 20, "n_bright": 20, "groups": "[groups]\npattern = '(_)'"}, 1),
    ],
    ids=["two images of a class", "copies of one picture", "one group"],
)
def test_too_few_patients_to_hold_one_out(
    arguments: dict[str, Any], groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refusal(lambda: drawn(tmp_path, **arguments), tmp_path, monkeypatch)
    assert said == f"a class comes from {groups} patient groups; at least 3 are needed to hold one out"


@pytest.mark.parametrize(("n_bright", "loads"), [(2, 0), (3, 1)])
def test_what_cannot_be_held_out_is_said_before_a_weight_is_read(
    n_bright: int, loads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []

    class Refused(RuntimeError):
        pass

    def load(model: ModelOnDemand) -> None:
        loaded.append(model)
        raise Refused("no weights here")

    monkeypatch.setattr(ModelOnDemand, "load", load)
    dataset = drawn(tmp_path, 8, n_bright)
    monkeypatch.setattr(subject, "open_dataset", lambda *_: dataset)
    settings = Settings(store=tmp_path / "store")
    found, _ = diagnosis.diagnose(
        ModelOnDemand(resolve("phantom"), settings), "thin", lambda: tmp_path, lambda *_: None
    )
    assert len(loaded) == loads
    assert ("at least 3 are needed to hold one out" in str(found.error)) is (loads == 0)


def test_groups_that_exclusion_has_taken_are_missed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = drawn(tmp_path, 8, 3)
    folder = store.Folder(tmp_path / "store", "features")
    broken = next(image for image in dataset.images if image.label == 1)
    kept = tuple(image for image in dataset.images if image is not broken)
    measured = Measurement(kept, ((broken, "broken"),), "features", folder)
    monkeypatch.setattr(subject, "open_dataset", lambda *_: dataset)
    monkeypatch.setattr(evidence, "measure", lambda *_: measured)
    settings = Settings(store=tmp_path / "store")
    found, _ = diagnosis.diagnose(
        ModelOnDemand(resolve("phantom"), settings), "thin", lambda: tmp_path, lambda *_: None
    )
    assert found.error == "a class comes from 2 patient groups; at least 3 are needed to hold one out"


def test_a_class_that_exclusion_has_emptied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    def emptied() -> Dataset:
        whole = drawn(tmp_path, 8, 8)
        return replace(whole, images=tuple(image for image in whole.images if image.label == 0))

    assert refusal(emptied, tmp_path, monkeypatch) == "no readable image of class bright in thin"
