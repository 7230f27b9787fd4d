"""Every family builds, loads, is discovered, and says something, offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.family_names import FAMILIES

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."


def test_the_list_is_whole() -> None:
    from medprobe.fixtures.phantoms.families.checkpoints import FAMILIES as built

    assert list(built) == FAMILIES


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, family: Callable[[str], Path]) -> Any:
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    return load(resolve(str(family(request.param))))


def test_a_checkpoint_is_tiny(loaded: Any, family: Callable[[str], Path]) -> None:
    assert sum(path.stat().st_size for path in family(loaded.name).iterdir()) < 1e6


def test_the_parts_are_found(loaded: Any) -> None:
    anatomy, model = loaded.anatomy, loaded.model
    assert len(anatomy.vision_blocks) == 3
    assert all(name.startswith(anatomy.tower + ".") for name in anatomy.vision_blocks)
    assert len(anatomy.decoder_layers) == (4 if loaded.name == "qwen3_5" else 3)
    assert all(name.startswith(anatomy.decoder + ".") for name in anatomy.decoder_layers)
    for name in (anatomy.tower, anatomy.connector, anatomy.decoder, anatomy.final_norm, anatomy.head):
        assert list(model.get_submodule(name).parameters())
    assert len(anatomy.deepstack) == (2 if loaded.name == "qwen3_vl" else 0)
    assert not model.training


def test_the_decoder_receives_the_image_features(loaded: Any, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    model, anatomy = loaded.model, loaded.anatomy
    batch = chat.inputs(loaded, images, PROMPT)
    assert loaded.processor.tokenizer.padding_side == "left"
    assert "labels" not in batch
    positions = batch["input_ids"] == anatomy.image_token_id
    received: list[torch.Tensor] = []
    layer = model.get_submodule(anatomy.decoder_layers[0])
    hook = layer.register_forward_pre_hook(
        lambda _, args, kwargs: received.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    with torch.inference_mode():
        model(**batch)
        hook.remove()
        wanted = {"pixel_values", "image_sizes", "image_grid_thw", "pixel_attention_mask", "batch_num_images"}
        wanted |= {"image_merge_sizes"}
        features = model.get_image_features(**{k: v for k, v in batch.items() if k in wanted}).pooler_output
    flat = torch.cat([f.reshape(-1, f.shape[-1]) for f in features])
    assert flat.abs().mean() > 1e-4
    torch.testing.assert_close(received[0][positions], flat, rtol=1e-5, atol=1e-5)


def test_a_batch_says_what_single_images_say(loaded: Any, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    with torch.inference_mode():
        together = loaded.model(**chat.inputs(loaded, images, PROMPT)).logits[:, -1]
        alone = [loaded.model(**chat.inputs(loaded, [image], PROMPT)).logits[0, -1] for image in images]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-4)


def test_it_generates(loaded: Any, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    batch = chat.inputs(loaded, images, PROMPT)
    with torch.inference_mode():
        said = loaded.model.generate(**batch, max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert said.shape == (len(images), batch["input_ids"].shape[1] + 3)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    sizes: dict[str, Any] = {"image_size": 16, "vision_width": 16, "text_width": 16, "tied": True}
    folders = [build_family("gemma3", tmp_path / str(i), seed=3, **sizes) for i in range(2)]
    assert len({(folder / "model.safetensors").read_bytes() for folder in folders}) == 1


def test_an_unknown_family_is_named(tmp_path: Path) -> None:
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    with pytest.raises(ValueError, match="no family 'blip'; known are llava"):
        build_family("blip", tmp_path)
