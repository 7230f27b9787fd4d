"""The input's settings: listed, compared, and changed without a copy of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.fixtures.models.load_options import LoadOptions
from tests.family_names import FAMILIES

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
MEAN = {"image_processor.image_mean": [0.1, 0.2, 0.3]}


def logits(loaded: Any) -> Any:
    import torch

    from medprobe.fixtures.models.chat import inputs

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (48, 40, 3), dtype=np.uint8)) for _ in range(2)]
    with torch.inference_mode():
        return loaded.model(**inputs(loaded, pictures, PROMPT)).logits[:, -1].float()


def load(folder: Path) -> Any:
    from medprobe.fixtures.models import loading
    from medprobe.fixtures.models.registry import resolve

    return loading.load(resolve(str(folder)), LoadOptions(dtype="float32"))


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Any:
    return load(checkpoints[request.param])


def rotary(loaded: Any) -> dict[str, Any]:
    from medprobe.fixtures.models.input_settings import settings

    return {path: 500.0 for path in settings(loaded) if path.endswith("rope_theta") and "text" in path}


@pytest.mark.parametrize("changed", ["mean", "rotary base", "template"])
def test_a_changed_setting_is_what_a_saved_checkpoint_with_it_gives(loaded: Any, changed: str, tmp_path: Path) -> None:
    import torch

    from medprobe.fixtures.models.input_settings import altered, compared, settings

    template = settings(loaded)["chat_template"]
    changes = {
        "mean": MEAN,
        "rotary base": rotary(loaded),
        "template": {"chat_template": template + "{{ 'Answer: ' }}"},
    }[changed]
    before = logits(loaded)
    made = altered(loaded, changes)
    found = logits(made)
    assert not torch.equal(found, before)
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    saved = load(tmp_path)
    assert {d.path for d in compared(settings(loaded), settings(saved))} == set(changes)
    assert torch.allclose(logits(saved), found, atol=1e-5)
    assert torch.equal(logits(loaded), before)


def test_the_weights_are_shared(loaded: Any) -> None:
    from medprobe.fixtures.models.input_settings import altered

    made = altered(loaded, rotary(loaded) | MEAN)
    own = dict(loaded.model.named_parameters())
    assert all(parameter is own[name] for name, parameter in made.model.named_parameters())


def test_the_input_of_another_checkpoint_is_all_that_is_taken(checkpoints: dict[str, Path]) -> None:
    import torch

    from medprobe.fixtures.models.input_settings import altered, differences, with_input_of

    ours, theirs = load(checkpoints["llava"]), load(checkpoints["llava"])
    theirs = altered(theirs, {**MEAN, **rotary(theirs), "config.vision_feature_layer": -2})
    with torch.no_grad():
        for parameter in theirs.model.parameters():
            parameter.add_(1.0)  # which is shared with nobody
    made = with_input_of(ours, theirs)
    assert differences(made, theirs) == []
    assert {d.path for d in differences(ours, theirs)} == {*MEAN, *rotary(ours), "config.vision_feature_layer"}
    with torch.no_grad():
        for parameter in theirs.model.parameters():
            parameter.sub_(1.0)
    assert torch.allclose(logits(made), logits(theirs), atol=1e-4)


def test_another_activation_is_followed(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import torch

    from medprobe.fixtures.models.input_settings import altered

    ours = load(checkpoints["llava"])
    before = logits(ours)
    made = altered(ours, {"config.vision_config.hidden_act": "silu"})
    assert not torch.equal(logits(made), before)
    assert torch.equal(logits(ours), before)
    made.model.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    assert torch.allclose(logits(load(tmp_path)), logits(made), atol=1e-5)


def test_what_changes_the_shape_of_weights_is_refused(checkpoints: dict[str, Path]) -> None:
    from medprobe.fixtures.models.input_settings import CannotAlter, altered

    ours = load(checkpoints["llava"])
    with pytest.raises(CannotAlter, match="changes the shape"):
        altered(ours, {"config.vision_config.patch_size": 4})
    with pytest.raises(CannotAlter, match="no model can be built"):
        altered(ours, {"config.text_config.num_attention_heads": -1})


def test_settings_that_say_nothing_are_not_listed(checkpoints: dict[str, Path]) -> None:
    from medprobe.fixtures.models.input_settings import settings

    found = settings(load(checkpoints["qwen2_5_vl"]))
    assert not [path for path in found if path.rpartition(".")[2] in ("_name_or_path", "transformers_version", "dtype")]
    assert {"image_processor.image_mean", "chat_template", "config.vision_config.fullatt_block_indexes"} <= set(found)
