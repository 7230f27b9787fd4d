"""The same inputs give the same report; batch size, padding and workers change nothing that is decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.phantoms.images import draw_dataset
from tests.conftest import SMALL
from tests.runs.calling import Run, medprobe

BATCHES = (1, 7, 16)
CLEAR = 1e-3
"""A margin, in natural logarithms of probability, above which nothing may change."""

MIXED = ("gemma3", "qwen2_vl", "qwen2_5_vl", "llava_next", "idefics3", "internvl")
"""Padded by side, packed, packed in windows, tiled with padding, tiled with splits, tiled."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images of 15 patients."""
    return draw_dataset(tmp_path_factory.mktemp("small"), 15, 2, seed=5)


def run(small: Path, folder: Path, *arguments: str, seed: str) -> Run:
    return medprobe(
        *("--model", "phantom", "--model", "phantom-connector", "--dataset", small, "--store", folder / "store"),
        *arguments,
        report_dir=folder / "reports",
        PYTHONHASHSEED=seed,
    )


def without_timing(run: Run) -> str:
    """`report.json` but for the seconds taken and the command line, in its own order."""
    report = run.report
    del report["suite"]["command"]
    for diagnosis in report["diagnoses"]:
        del diagnosis["timing"]
    return json.dumps(report, indent=1)


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(small: Path, tmp_path: Path) -> None:
    """From nothing both times: other hash seed, other store, two workers."""
    one = run(small, tmp_path / "one", "-n", "0", seed="1")
    two = run(small, tmp_path / "two", "-n", "2", seed="2")
    assert [d["error"] for d in one.report["diagnoses"]] == [None, None]
    assert without_timing(one) == without_timing(two)
    for path in one.report_dir.glob("*/predictions.json"):
        assert path.read_bytes() == (two.report_dir / path.relative_to(one.report_dir)).read_bytes()


def decided(scores: NDArray[Any], others: NDArray[Any]) -> float:
    """The share of the rows with a clear margin; asserts that those have the same largest column in both."""
    ordered = np.sort(scores, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > CLEAR
    np.testing.assert_array_equal(scores.argmax(axis=1)[clear], others.argmax(axis=1)[clear])
    return float(clear.mean())


@pytest.mark.parametrize("model", ["phantom", "phantom-connector"])
def test_the_batch_size_decides_nothing(model: str, small: Path, tmp_path: Path) -> None:
    from medprobe.diagnostics.diagnosis import judgement_of
    from medprobe.diagnostics.evidence import gather
    from medprobe.diagnostics.extraction.measurement import OPTIONS
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets.dataset import open_dataset
    from medprobe.fixtures.models.registry import resolve

    dataset = open_dataset(small, None)
    found = [
        gather(ModelOnDemand(resolve(model), Settings(tmp_path / str(size), batch_size=size)), dataset, lambda *_: None)
        for size in BATCHES
    ]
    first, *rest = found
    verdicts = [judgement_of(evidence, null_p=0.001) for evidence in found]
    for evidence, judged in zip(rest, verdicts[1:], strict=True):
        assert list(evidence.readings) == list(first.readings)
        for name, reading in first.readings.items():
            clear = decided(reading.log_probabilities, evidence.readings[name].log_probabilities)
            assert clear > 0.9 or model == "phantom-connector", name
        decided(first.measured.array(OPTIONS), evidence.measured.array(OPTIONS))
        np.testing.assert_array_equal(evidence.said, first.said)
        assert {s: link.verdict for s, link in judged.links.items()} == {
            s: link.verdict for s, link in verdicts[0].links.items()
        }
        assert (judged.verdict, judged.primary, judged.tied) == (
            verdicts[0].verdict,
            verdicts[0].primary,
            verdicts[0].tied,
        )


@pytest.mark.parametrize("family", MIXED)
def test_neither_does_it_where_images_of_many_sizes_are_padded_packed_or_tiled(family: str, tmp_path: Path) -> None:
    from medprobe.diagnostics.extraction.batches import Limit, read_all
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.probes.ridge import read
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    rng = np.random.default_rng(0)
    n = 20
    labels, groups, folds = np.arange(n) % 2, np.arange(n), np.arange(n) // 2 % 5
    pictures = [
        Image.fromarray(rng.integers(0, 120 + 130 * int(labels[i]), (h, w, 3), dtype=np.uint8))
        for i, (h, w) in enumerate(rng.integers(24, 90, (n, 2)))
    ]
    loaded = load(resolve(str(build_family(family, tmp_path / family, seed=1, **SMALL))), LoadOptions(dtype="float32"))
    readings = []
    for size in BATCHES:
        with Extractor(loaded, "Is it dark? Answer dark or bright.", ("dark", "bright"), 3).hooked() as extractor:
            batches = list(read_all(extractor.prepare, extractor.read, pictures, Limit(size), extractor.length))
        features = {name: np.concatenate([b.features[name] for b in batches]) for name in batches[0].features}
        options = np.concatenate([b.option_log_likelihoods for b in batches])
        probed = {name: read("ridge", values, labels, groups, folds, 0) for name, values in features.items()}
        readings.append((probed, options, [text for b in batches for text in b.texts]))
    first, *rest = readings
    for probed, options, texts in rest:
        assert texts == first[2]
        decided(first[1], options)
        for name, reading in first[0].items():
            assert decided(reading.log_probabilities, probed[name].log_probabilities) > 0.5, name
