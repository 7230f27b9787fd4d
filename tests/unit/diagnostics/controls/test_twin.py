"""The untrained twin: other weights inside, the same weights after."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medprobe.diagnostics.controls import twin
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.extractor import Extractor
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.models.loaded import LoadedModel
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load(resolve("phantom"))


def state(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}


def test_weights_come_back_to_the_bit(loaded: LoadedModel) -> None:
    before = state(loaded)
    try:
        with twin.drawn_anew(loaded, 0):
            inside = state(loaded)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    after = state(loaded)
    assert all(torch.equal(before[name], after[name]) for name in before)
    changed = {name for name in before if not torch.equal(before[name], inside[name])}
    parts = (loaded.anatomy.tower, loaded.anatomy.connector)
    matrices = {n for n, t in before.items() if n.startswith(parts) and t.ndim > 1 and t.is_floating_point()}
    assert changed == matrices
    assert changed


def test_activations_stay_alive(loaded: LoadedModel, phantoms: Path, evidence_of: Callable[[Path], Evidence]) -> None:
    evidence = evidence_of(phantoms)
    pictures = [open_image(image) for image in evidence.measured.images[:8]]
    with Extractor(loaded, "p", ["a", "b"]).hooked() as extractor, twin.drawn_anew(loaded, 0):
        features = extractor.read_before_decoder(pictures)
    for x in features.values():
        assert np.isfinite(x).all()
        assert 1e-3 < x.std() < 1e3
        assert (x.std(axis=0) > 1e-6).mean() > 0.5


def test_the_shortened_pass_reads_what_the_whole_one_does(
    loaded: LoadedModel, phantoms: Path, evidence_of: Callable[[Path], Evidence]
) -> None:
    evidence = evidence_of(phantoms)
    pictures = [open_image(image) for image in evidence.measured.images[:4]]
    with Extractor(loaded, evidence.dataset.prompt, evidence.dataset.answers).hooked() as extractor:
        short, whole = extractor.read_before_decoder(pictures), extractor.read(pictures).features
    assert set(short) == {name for name in whole if not name.startswith("llm.")}
    for name, x in short.items():
        np.testing.assert_allclose(x, whole[name], rtol=1e-5, atol=1e-5)


def test_the_twin_reads_less_than_the_model(phantoms: Path, evidence_of: Callable[[Path], Evidence]) -> None:
    found = twin.run(evidence_of(phantoms))
    assert found.reason is None
    assert found.vision is not None
    assert found.vision.model > found.vision.twin + 0.3
