"""The caution that the likeliest option is not what the text says."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medprobe.diagnostics.evidence import Evidence, gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.last_link.agreement import LEAST, disagreement
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.images import draw_dataset


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("drawn") / "set", 36, 2, seed=41)


@pytest.fixture(scope="module")
def healthy(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return evidence("phantom", manifest, tmp_path_factory.mktemp("store"))


def evidence(model: str, manifest: Path, store: Path) -> Evidence:
    return gather(ModelOnDemand(resolve(model), Settings(store)), open_dataset(manifest, None), lambda *_: None)


def test_a_healthy_model_says_what_is_likeliest(healthy: Evidence) -> None:
    assert disagreement(healthy) == []


def test_a_word_that_decoding_never_writes(manifest: Path, tmp_path: Path) -> None:
    """The generation settings of a release rule out the token of `normal`, which stays the likeliest option."""
    folder = Path(shutil.copytree(phantom_path(), tmp_path / "model"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "suppress_tokens": [vocabulary["normal"]]}))
    found = evidence(str(folder), manifest, tmp_path / "store")
    assert (found.likeliest == 0).sum() > 20
    assert (found.said == 0).sum() == 0
    named = int((found.said >= 0).sum())
    differ = int(((found.said >= 0) & (found.likeliest == 0)).sum())
    assert disagreement(found) == [
        f"the likeliest option and the text differ in {differ} of {named} answers that name a class: either the "
        "options are not what the model writes, or its decoding departs from its likelihoods"
    ]


@pytest.mark.parametrize(("n_differ", "cautioned"), [(4, False), (30, True)])
def test_a_few_texts_are_no_caution(healthy: Evidence, n_differ: int, cautioned: bool) -> None:
    """4 of 72 are more than LEAST, and not more than chance allows."""
    said = healthy.likeliest.copy()
    said[:: len(said) // n_differ][:n_differ] = (said[:: len(said) // n_differ][:n_differ] + 1) % 3
    assert np.mean(said != healthy.likeliest) > LEAST
    assert bool(disagreement(replace(healthy, said=said))) == cautioned


def test_texts_that_name_no_class_do_not_differ(healthy: Evidence) -> None:
    assert disagreement(replace(healthy, said=np.full_like(healthy.said, -1))) == []
