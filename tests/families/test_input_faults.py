"""Faults of the input: in every family each is planted or refused with a reason, and no weight is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.family_names import FAMILIES

DECODING = ("input.repetition_penalty", "input.lost_end")
"""Faults that show in the text that is generated, of trained models."""
MARKED = {"input.marked_flat"}
"""Faults of marked pictures, which these are not."""
REMADE = {("qwen3_5", "input.lower_case")}
"""What a saved folder does not keep, since the family's tokenizer is remade with a normaliser of its own."""
EXACT = {"healthy.template_comment", "healthy.unused_setting", "healthy.pad_token", "healthy.no_conversion"}
"""Look-alikes under which every number stays as it was."""
REACH = {
    "input.merge_order": {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5"},
    "input.coarser_pooling": {"gemma3"},
    "input.attention_scale": {"gemma3"},
    "input.no_tiles": {"internvl", "idefics3", "smolvlm"},
    "input.earlier_layer": {"llava", "llava_clip", "llava_next", "llava_onevision", "internvl"},
    "input.later_layer": {"llava_clip", "llava_next"},
    "input.centre_crop": {"llava", "llava_clip", "paligemma"},
    "input.inverted_greys": set(FAMILIES),
    "input.no_template": set(FAMILIES) - {"paligemma"},
}
"""The families in which some mechanisms can be planted."""
REASONS: list[str] = []
"""Why others could not."""


def pictures() -> list[Image.Image]:
    """Smooth, coloured, wider than high."""
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 255, (6, 6, 3), dtype=np.uint8) for _ in range(2)]
    return [Image.fromarray(part).resize((160, 96), Image.Resampling.BILINEAR) for part in small]


def logits(loaded: Any, images: list[Image.Image] | None = None) -> Any:
    import torch

    from medprobe.fixtures.models.chat import inputs
    from medprobe.fixtures.phantoms.images import PROMPT

    with torch.inference_mode():
        return loaded.model(**inputs(loaded, images or pictures(), PROMPT)).logits[:, -1].float()


def load(folder: Path) -> Any:
    from medprobe.fixtures.models import loading
    from medprobe.fixtures.models.registry import resolve

    return loading.load(resolve(str(folder)))


def planted(loaded: Any, fault: str) -> Any:
    """The model with the fault; None where it is refused."""
    from medprobe.fixtures.phantoms.faults import FaultError, plant

    made = replace(loaded)
    try:
        plant(made, fault)
    except FaultError as error:
        REASONS.append(str(error))
        return None
    return made


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from medprobe.fixtures.phantoms.families.checkpoints import build_family
    from medprobe.fixtures.phantoms.images import ANSWERS, PROMPT

    texts = [PROMPT, *ANSWERS] * 8
    return load(build_family(request.param, tmp_path_factory.mktemp(request.param), seed=1, texts=texts))


@pytest.fixture(scope="module")
def mechanisms() -> dict[str, Any]:
    from medprobe.fixtures.phantoms.faults import MECHANISMS

    return {name: mechanism for name, mechanism in MECHANISMS.items() if mechanism.kind == "misfeeds"}


def test_each_is_planted_or_says_why_not(loaded: Any, mechanisms: dict[str, Any], request: Any) -> None:
    import torch

    family = request.node.callspec.params["loaded"]
    processor, kept = loaded.processor, {name: value.clone() for name, value in loaded.model.named_parameters()}
    before, reached = logits(loaded), set()
    for name in mechanisms:
        made = planted(loaded, name)
        if made is None:
            continue
        reached.add(name)
        after = logits(made)
        assert torch.isfinite(after).all(), name
        assert name in (*DECODING, *MARKED) or not torch.equal(before, after), name
        own = dict(loaded.model.named_parameters())
        assert all(parameter is own[key] for key, parameter in made.model.named_parameters()), name
    assert len(reached) >= 20
    assert all(len(reason) > 20 and "\n" not in reason for reason in REASONS)
    for name, families in REACH.items():
        assert (name in reached) == (family in families), name
    assert loaded.processor is processor
    assert torch.equal(logits(loaded), before)
    assert all(torch.equal(value, kept[name]) for name, value in loaded.model.named_parameters())


def test_planting_twice_gives_the_same(loaded: Any, mechanisms: dict[str, Any]) -> None:
    import torch

    for name in ("input.mean_offset@0.5", "input.cropped@0.3", "input.lost_merges", "input.rotary_base@0.5"):
        one, two = planted(loaded, name), planted(loaded, name)
        assert torch.equal(logits(one), logits(two)), name


def test_a_saved_folder_gives_what_was_planted(loaded: Any, tmp_path: Path, request: Any) -> None:
    import torch

    family = request.node.callspec.params["loaded"]
    faults = ("input.mean_offset", "input.system_line", "input.earlier_layer", "input.lower_case", "input.lost_merges")
    for name in (*faults, "input.rotary_scaled", "input.coarser_pooling", "input.class_token", "input.fewer_tokens"):
        made = planted(loaded, name)
        if made is None or (family, name) in REMADE:
            continue
        folder = tmp_path / name
        made.model.save_pretrained(folder)
        made.processor.save_pretrained(folder)
        assert torch.allclose(logits(load(folder)), logits(made), atol=1e-4), name


def test_look_alikes_change_settings_and_little_else(loaded: Any) -> None:
    import torch

    from medprobe.fixtures.models.input_settings import settings
    from medprobe.fixtures.phantoms.faults.input import LOOK_ALIKES

    before, n_planted = logits(loaded), 0
    for mechanism in LOOK_ALIKES:
        made = planted(loaded, mechanism.name)
        if made is None:
            continue
        n_planted += 1
        after = logits(made)
        differ = (after - before).abs().max() / before.abs().max()
        assert differ <= (1e-5 if mechanism.name in EXACT else 0.3), mechanism.name
        pads = made.processor.tokenizer.pad_token != loaded.processor.tokenizer.pad_token
        assert pads or settings(made) != settings(loaded), mechanism.name
    assert n_planted >= 6
    assert torch.equal(logits(loaded), before)


def test_swapped_channels_are_nothing_to_a_grey_picture(loaded: Any) -> None:
    import torch

    made = planted(loaded, "input.swapped_channels")
    grey = [picture.convert("L").convert("RGB") for picture in pictures()]
    assert torch.equal(logits(made, grey), logits(loaded, grey))
    assert not torch.equal(logits(made), logits(loaded))


def test_a_setting_changed_after_a_fault_of_the_pictures_counts(loaded: Any) -> None:
    """A counterfactual input keeps what is done to pictures before the processor has them."""
    import torch

    from medprobe.fixtures.models.input_settings import altered

    made = planted(loaded, "input.inverted_greys")
    mean = {"image_processor.image_mean": [0.1, 0.2, 0.3]}
    both, only = altered(made, mean), altered(loaded, mean)
    assert not torch.equal(logits(both), logits(made))
    assert not torch.equal(logits(both), logits(only))


def test_more_of_the_knob_is_more_of_the_fault(loaded: Any, mechanisms: dict[str, Any]) -> None:
    before = logits(loaded)
    for name, mechanism in mechanisms.items():
        if not mechanism.graded or name in DECODING or planted(loaded, name) is None:
            continue
        little, much = ((logits(planted(loaded, f"{name}@{knob}")) - before).abs().mean().item() for knob in (0.02, 1))
        assert little < much, name


def test_inverting_is_what_a_negative_factor_does(loaded: Any) -> None:
    """255 - x, rescaled and centred: what the settings can say in numbers, too."""
    import torch

    from medprobe.fixtures.models.input_settings import altered, settings

    found = settings(loaded)
    if "image_processor.image_grid_pinpoints" in found:
        pytest.skip("tiles are padded with black before they are rescaled, which inverts the padding too")
    factor, mean = found["image_processor.rescale_factor"], found["image_processor.image_mean"]
    said = altered(
        loaded,
        {"image_processor.rescale_factor": -factor, "image_processor.image_mean": [m - 1 for m in mean]},
    )
    square = [picture.resize((64, 64)) for picture in pictures()]
    one, two = logits(planted(loaded, "input.inverted_greys"), square), logits(said, square)
    assert torch.allclose(one, two, atol=0.05 * one.abs().max().item())
