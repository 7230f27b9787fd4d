"""Inputs planted in the phantom's folder are found by asking again; what is sound or faulty elsewhere is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from medprobe.diagnostics.counterfactuals import rule
from medprobe.diagnostics.diagnosis import diagnose
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.images import ANSWERS, draw_dataset


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counterfactuals")


@pytest.fixture(scope="module")
def drawn(root: Path) -> Path:
    return draw_dataset(root / "set", 36, 2, 57)


@pytest.fixture(scope="module")
def wrong_mean(root: Path) -> Path:
    """The phantom, its processor set to numbers that nobody has."""
    folder = root / "wrong-mean"
    shutil.copytree(phantom_path(), folder)
    path = folder / "processor_config.json"
    content = json.loads(path.read_text("utf-8"))
    content["image_processor"] |= {"image_mean": [0.1] * 3, "image_std": [0.15] * 3}
    path.write_text(json.dumps(content), "utf-8")
    return folder


@pytest.fixture(scope="module")
def silenced(root: Path) -> Path:
    """The phantom, its decoding forbidden to write the answers."""
    from tokenizers import Tokenizer

    folder = root / "silenced"
    shutil.copytree(phantom_path(), folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    path = folder / "generation_config.json"
    content = json.loads(path.read_text("utf-8"))
    content["suppress_tokens"] = [tokenizer.encode(answer, add_special_tokens=False).ids[0] for answer in ANSWERS]
    path.write_text(json.dumps(content), "utf-8")
    return folder


def diagnosed(model: str | Path, drawn: Path, root: Path, **more: Any) -> Diagnosis:
    settings = Settings(store=root / "store", batch_size=48, **more)
    found, _ = diagnose(ModelOnDemand(resolve(str(model)), settings), "phantom", lambda: drawn, lambda *_: None)
    assert found.error is None
    return found


def test_a_wrong_mean_is_named_with_its_key(wrong_mean, drawn, root):
    found = diagnosed(wrong_mean, drawn, root)
    assert found.failure_modes is not None
    assert found.counterfactuals is not None
    assert found.cause is not None
    assert (found.cause.module, found.cause.found_by, found.cause.certain) == ("input", "counterfactual", True)
    assert found.cause.key is not None
    assert found.cause.key.startswith("image_processor.image_mean, image_processor.image_std")
    tried = {one.name: one for one in found.counterfactuals.tried}
    right = tried["image_mean 0.5 and image_std 0.5"]
    assert right.explains
    assert right.signal is not None
    assert right.signal > 0.7
    assert found.cause.reason.startswith(f"with {found.counterfactuals.named} the answer reads ")
    # Grey pictures: it costs nothing.
    assert tried["red and blue exchanged"].n_images == 0
    assert tried["red and blue exchanged"].reason == "it changes nothing of these images"
    most = rule.FIRST * len(tried) + rule.KEPT * (rule.SCREENED - rule.FIRST) + rule.FINAL * rule.TESTED
    assert 0 < found.counterfactuals.passes * found.n_images <= most
    assert found.pixels is not None
    assert found.pixels.n_images == 32
    assert [key.path for key in found.pixels.differs] == ["image_processor.image_mean", "image_processor.image_std"]
    assert "image_processor.image_mean is 0.1, and published models with this tower have 0.5" in found.cautions


def test_what_only_the_text_loses_is_judged_on_the_text(silenced, drawn, root):
    found = diagnosed(silenced, drawn, root)
    assert found.counterfactuals is not None
    assert found.counterfactuals.judged_on == "said"
    assert found.cause is not None
    assert (found.cause.module, found.cause.judged_on) == ("input", "said")
    assert found.cause.key == "generation_config.suppress_tokens"
    assert found.cause.reason.startswith("with plain greedy decoding what is said reads ")


def test_a_second_run_asks_nothing(wrong_mean, drawn, root, monkeypatch):
    first = diagnosed(wrong_mean, drawn, root)
    monkeypatch.setattr(
        "medprobe.diagnostics.extraction.model_on_demand.ModelOnDemand.load",
        lambda self: pytest.fail("the model was loaded again"),
    )
    again = diagnosed(wrong_mean, drawn, root)
    assert (again.counterfactuals, again.cause, again.pixels) == (first.counterfactuals, first.cause, first.pixels)


def test_a_sound_model_is_asked_nothing_unless_told_to_and_nothing_is_named(drawn, root):
    found = diagnosed("phantom", drawn, root)
    assert (found.counterfactuals, found.cause) == (None, None)
    assert found.pixels is not None
    assert found.pixels.differs == []
    assert found.cautions == diagnosed("phantom", drawn, root, treat=True).cautions
    treated = diagnosed("phantom", drawn, root, treat=True)
    assert treated.counterfactuals is not None
    assert treated.counterfactuals.named is None
    assert not any(one.explains for one in treated.counterfactuals.tried)


@pytest.mark.parametrize("fault", ["answer", "connector"])
def test_a_fault_of_a_module_leaves_the_cause_open(fault, drawn, root):
    found = diagnosed(f"phantom-{fault}", drawn, root)
    assert found.counterfactuals is not None
    assert found.counterfactuals.named is None
    if fault == "answer":
        assert found.cause is not None
        assert (found.cause.module, found.cause.certain) == (None, False)
        assert "the cause is open: none of" in found.cause.reason
    else:
        assert found.cause is None
