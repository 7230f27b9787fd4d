"""A checkpoint with Hulu-Med's published keys and configuration loads as the native class."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medprobe.fixtures.models.registry import resolve

PUBLISHED = {
    "model.vision_model.": "model.vision_encoder.vision_encoder.",
    "model.projector.": "model.mm_projector.",
    "model.language_model.": "model.",
}


def published(folder: Path, native: Any) -> Path:
    """`native`, a loaded VideoLLaMA 3, as Hulu-Med is published: names, configuration and processor files."""
    from safetensors.torch import save_file

    def name(key: str) -> str:
        for ours, theirs in PUBLISHED.items():
            if key.startswith(ours):
                return theirs + key[len(ours) :]
        return key

    folder.mkdir()
    weights = {name(key): value.clone() for key, value in native.model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = native.model.config
    raw = {
        **config.text_config.to_dict(),
        "model_type": "hulumed_qwen2",
        "architectures": ["HulumedQwen2ForCausalLM"],
        "auto_map": {"AutoConfig": "configuration_hulumed_qwen2.HulumedQwen2Config"},
        "vision_encoder_config": {**config.vision_config.to_dict(), "model_type": "hulumed_vision_encoder"},
        "mm_projector_type": "mlp2x_gelu",
        "image_token_index": config.image_token_id,
    }
    (folder / "config.json").write_text(json.dumps(raw))
    tokenizer = native.processor.tokenizer
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    patch = config.vision_config.patch_size**2
    size = native.processor.image_processor.size
    limits = {"min_tokens": size["shortest_edge"] // patch, "max_tokens": size["longest_edge"] // patch}
    images = {"image_processor_type": "HulumedImageProcessor", "processor_class": "HulumedProcessor", **limits}
    images |= {key: list(getattr(native.processor.image_processor, key)) for key in ("image_mean", "image_std")}
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    return folder


def test_the_native_class_gives_the_same_logits(
    family: Callable[[str], Path], tmp_path: Path, images: list[Image.Image]
) -> None:
    import torch

    from medprobe.fixtures.models import chat
    from medprobe.fixtures.models.loading import load

    native = load(resolve(str(family("video_llama_3"))))
    ours = load(resolve(str(published(tmp_path / "hulu", native))))
    batch = chat.inputs(ours, images, "Is there a lesion?")
    assert "image_merge_sizes" in batch
    with torch.inference_mode():
        # But for rounding: the weights lie elsewhere in memory.
        torch.testing.assert_close(ours.model(**batch).logits, native.model(**batch).logits, rtol=1e-5, atol=1e-5)
    assert ours.anatomy == native.anatomy
    text = chat.turn(ours, "Is there a lesion?")
    mark = chat.placeholder(ours.processor)
    assert text == f"<|im_start|>user\n{mark}\nIs there a lesion?<|im_end|>\n<|im_start|>assistant\n"


def test_a_missing_key_is_not_made_up(family: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.refusals import LoadError

    folder = published(tmp_path / "hulu", load(resolve(str(family("video_llama_3")))))
    weights = load_file(folder / "model.safetensors")
    weights = {key: value for key, value in weights.items() if "mm_projector" not in key}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(LoadError, match="lacks 4 weights"):
        load(resolve(str(folder)))
