"""A team's own checks take what the suite measures: nothing is loaded or read twice, and no two models are held."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.places import GUIDES

_, SHOWN, *_ = re.findall(r"^```python\n(.*?)^```$", (GUIDES / "project.md").read_text("utf-8"), re.M | re.S)
"""The check of the guide that takes predictions."""

ALL = """
import numpy as np
import pytest

def test_everything(loaded_model, dataset, features, answers, predictions, diagnosis):
    n = len(dataset.images)
    assert n == len(answers.texts) == len(features.images) == len(predictions.labels) == diagnosis.n_images
    assert answers.labels.tolist() == features.labels.tolist() == predictions.labels
    assert [len(features[locus]) for locus in features] == [n] * len(features)
    assert list(features)[0].startswith("vision.")
    assert "nowhere" not in features
    assert answers.options.shape == (n, len(dataset.answers))
    assert predictions.places["answer"] == answers.said.tolist()
    assert diagnosis.predictions == predictions
    assert diagnosis.model == loaded_model.name and diagnosis.dataset == dataset.name

@pytest.mark.parametrize("share", [1.0])
def test_with_a_parameter(answers, share):
    assert np.mean(answers.said < 0) <= share

def test_that_fails_with_its_model(loaded_model):
    assert loaded_model is None
"""

COUNTED = """
import weakref

held = []

def pytest_configure(config):
    from medprobe.fixtures.models import loading

    load = loading.load

    def counted(*args, **kwargs):
        assert not [model for model in held if model() is not None], "two models at once"
        loaded = load(*args, **kwargs)
        held.append(weakref.ref(loaded.model))
        return loaded

    loading.load = counted

def pytest_unconfigure(config):
    import gc

    gc.collect()
    print("held at the end:", sum(model() is not None for model in held))
"""


@pytest.fixture
def checks(tmp_path: Path) -> Path:
    folder = tmp_path / "checks"
    folder.mkdir()
    (folder / "conftest.py").write_text(COUNTED, "utf-8")
    (folder / "test_all.py").write_text(ALL, "utf-8")
    (folder / "test_shown.py").write_text(SHOWN, "utf-8")
    return folder


@pytest.mark.slow
def test_own_checks_load_nothing_twice(watched, small, checks, tmp_path):
    models = ("phantom", "phantom-connector")
    run = watched(
        *("diagnostics", checks, "--model", models[0], "--model", models[1], "--dataset", "phantom"),
        *("--max-images", "48", "-n", "0", "-v", "--junitxml", tmp_path / "junit.xml"),
    )
    assert run.loads() == dict.fromkeys(models, 1), run.run.out
    for model in models:
        for dataset in ("small", "phantom"):
            assert set(run.extracted(model, dataset).values()) == {1}
    outcomes = run.run.outcomes()
    asked = [f"{model}-{dataset}" for model in models for dataset in ("small", "phantom")]
    for pair in asked:
        assert outcomes[f"test_everything[{pair}]"] == "PASSED", run.run.out
        assert outcomes[f"test_with_a_parameter[1.0-{pair}]"] == "PASSED"
        assert outcomes[f"test_that_fails_with_its_model[{pair}]"] == "FAILED"
    assert "held at the end: 0" in run.run.out, "a second run in this process needs the memory"
    assert len(run.run.diagnoses) == len(asked)
    assert all(diagnosis["error"] is None for diagnosis in run.run.diagnoses.values())
    shown = [name for name in outcomes if name.startswith("test_no_layer_loses_malignant[")]
    assert sorted(shown) == sorted(f"test_no_layer_loses_malignant[{pair}]" for pair in asked)
    cases = {case.get("name"): case for case in ET.parse(tmp_path / "junit.xml").iter("testcase")}
    properties = {p.get("name"): p.get("value") for p in cases["test_everything[phantom-small]"].iter("property")}
    assert (properties["model"], properties["dataset"]) == ("phantom", "small")
    assert properties["verdict"] == run.run.diagnoses["phantom", "small"]["verdict"]


@pytest.mark.slow
def test_a_check_that_judges_nothing_leaves_no_report(watched, alone, checks):
    """And loads nothing, where the features are stored."""
    run = watched(checks / "test_shown.py", "--model", "phantom", "-n", "0", "-v", store=alone.store)
    assert run.loads() == {}
    assert set(run.run.outcomes()) == {"test_no_layer_loses_malignant[phantom-small]"}
    assert not (run.run.report_dir / "report.json").exists()


@pytest.mark.slow
def test_workers_have_whole_models_for_own_checks_too(watched, checks):
    models = ("phantom", "phantom-connector")
    run = watched("diagnostics", checks, "--model", models[0], "--model", models[1], "-n", "2", "-v")
    assert run.loads() == dict.fromkeys(models, 1), run.run.out
    workers: dict[str, set[str]] = {}
    for line in map(str.strip, run.run.out.splitlines()):
        if line.startswith("[gw") and line.endswith("]"):
            workers.setdefault(line.rpartition("[")[2].rpartition("1.0-")[2], set()).add(line.partition("]")[0])
    assert {pair: len(used) for pair, used in workers.items()} == {f"{model}-small]": 1 for model in models}
