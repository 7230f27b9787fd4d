"""Lesions hidden from phantoms: the shipped one needs them, and one without signal is judged on nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medprobe.diagnostics.evidence import Evidence, gather
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.grounding.hide_lesions import ground, shortcut
from medprobe.diagnostics.grounding.places import places
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import ModelSpec, resolve
from medprobe.fixtures.phantoms.images import ANSWERS, draw_dataset


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("grounding")
    manifest = draw_dataset(root / "set", 36, 3, seed=47)

    def evidence(fault: str | None) -> Evidence:
        source = resolve("phantom").source
        spec = ModelSpec(source, name="phantom", source=source, fault=fault)
        return gather(
            ModelOnDemand(spec, Settings(store=root / "store")), open_dataset(manifest, None), lambda *_: None
        )

    return evidence


def test_the_phantom_depends_on_the_lesion_at_every_exit(shown, monkeypatch):
    evidence = shown(None)
    found = ground(evidence)
    assert found.depends_on_lesion
    assert found.shortcut is False
    assert shortcut(found) == []
    assert set(found.pixels.places) == {"vision", "connector", "llm", "answer"}
    for place, hidden in found.pixels.places.items():
        assert hidden.intact > 0.7, place
        assert hidden.without_lesion < 0.2, place
        assert hidden.without_elsewhere > hidden.intact - 0.15, place
        assert hidden.specific.ci[1] < -0.5, place
    assert found.pixels.changed_by_lesion > 0.8 > 0.1 > found.pixels.changed_by_elsewhere
    assert found.pixels.right_without_lesion < 0.2 * found.pixels.right
    assert set(found.tokens.places) == {"llm", "answer"}
    monkeypatch.setattr(
        "medprobe.diagnostics.extraction.model_on_demand.ModelOnDemand.load",
        lambda self: pytest.fail("the model was loaded again"),
    )
    assert ground(shown(None)) == found


@pytest.mark.slow
def test_a_model_that_never_had_signal_is_judged_on_nothing(shown):
    found = ground(shown("answer.constant"))
    assert (found.depends_on_lesion, found.shortcut) == (None, None)
    assert shortcut(found) == []
    assert found.pixels.places["answer"].intact == found.pixels.places["answer"].without_lesion == 0
    assert found.pixels.places["llm"].specific.ci[1] < 0


def test_images_without_a_lesion_borrow_and_those_of_unknown_lesion_are_left_out(shown):
    evidence = shown(None)
    images = list(evidence.measured.images)
    benign = next(i for i, image in enumerate(images) if image.label == ANSWERS.index("benign"))
    images[benign] = replace(images[benign], masks=())
    found = places(replace(evidence, measured=replace(evidence.measured, images=tuple(images))))
    assert benign not in found.rows
    labels = evidence.labels[found.rows]
    np.testing.assert_array_equal(found.lesioned, labels != ANSWERS.index("normal"))
    assert set(found.lesion) == {place for place, own in zip(found.lesion, found.lesioned, strict=True) if own}
    for one, other in zip(found.lesion, found.elsewhere, strict=True):
        assert not (one.place(64, 64) & other.place(64, 64)).any()


def test_without_masks_the_reason_is_said(shown):
    evidence = shown(None)
    bare = tuple(replace(image, masks=()) for image in evidence.measured.images)
    found = ground(replace(evidence, measured=replace(evidence.measured, images=bare)))
    assert found.reason == "no image has a lesion mask beside it"
    assert found.pixels is None
    assert found.shortcut is None
