"""Checkpoints that are whole, broken, mended or not what is needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medprobe.fixtures.models.registry import ModelSpec, resolve

PROMPT = "Does this image show a lesion?"
Family = Callable[[str], Path]


@pytest.fixture
def copy(family: Family, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny checkpoint, to be broken."""
    return lambda name: Path(shutil.copytree(family(name), tmp_path / name))


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    for key, value in changes.items():
        data.pop(key, None) if value is None else data.update({key: value})
    path.write_text(json.dumps(data))


def load(folder: Path, **options: Any) -> Any:
    from medprobe.fixtures.models.loading import load

    return load(resolve(str(folder)), **options)


def refused(folder: Path, match: str, **options: Any) -> None:
    from medprobe.fixtures.models.refusals import LoadError

    with pytest.raises(LoadError, match=match):
        load(folder, **options)


def test_dtype_is_the_checkpoint_s_unless_given(family: Family, tmp_path: Path) -> None:
    import torch

    loaded = load(family("llava"))
    assert loaded.dtype == torch.float32
    loaded.model.to(torch.bfloat16).save_pretrained(tmp_path / "half")
    loaded.processor.save_pretrained(tmp_path / "half")
    assert load(tmp_path / "half").dtype == torch.bfloat16
    assert load(tmp_path / "half", dtype="float32").dtype == torch.float32
    refused(tmp_path / "half", "--dtype int3 is unknown", dtype="int3")


def test_shards_make_the_same_model(family: Family, tmp_path: Path) -> None:
    import torch

    whole = load(family("qwen2_vl"))
    whole.model.save_pretrained(tmp_path / "shards", max_shard_size="200KB")
    whole.processor.save_pretrained(tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    parts = load(tmp_path / "shards")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(parts.model.state_dict()[name], value)


def test_a_text_only_model_is_named(tmp_path: Path) -> None:
    import transformers as tf

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tf.LlamaForCausalLM(tf.LlamaConfig(vocab_size=9, **sizes)).save_pretrained(tmp_path)
    refused(tmp_path, r"is a text-only model \(llama\)")


def test_an_encoder_without_llm_is_named(tmp_path: Path) -> None:
    import transformers as tf

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = tf.CLIPConfig(
        text_config={"vocab_size": 9, **sizes}, vision_config={"image_size": 16, "patch_size": 8, **sizes}
    )
    tf.CLIPModel(config).save_pretrained(tmp_path)
    refused(tmp_path, r"without a language model \(clip\)")


def test_unknown_types_and_remote_code(copy: Family) -> None:
    folder = copy("llava")
    edit(folder / "config.json", model_type="llava_mistral")
    refused(folder, "model type llava_mistral, which transformers does not know")
    edit(folder / "config.json", auto_map={"AutoConfig": "configuration_x.X"})
    refused(folder, "only with --trust-remote-code")


REMOTE = {
    "configuration_other.py": """
from transformers import LlavaConfig
class OtherConfig(LlavaConfig):
    model_type = "other_llava"
""",
    "modeling_other.py": """
from transformers import LlavaForConditionalGeneration
from .configuration_other import OtherConfig
class OtherForConditionalGeneration(LlavaForConditionalGeneration):
    config_class = OtherConfig
""",
}


def test_remote_code_runs_only_when_trusted(copy: Family, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    from safetensors.torch import save_file

    folder = copy("llava")
    # Under the names of the modules: older names are translated for the types transformers knows.
    weights = {name: value.clone() for name, value in load(folder).model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name, code in REMOTE.items():
        (folder / name).write_text(code)
    auto = {
        "AutoConfig": "configuration_other.OtherConfig",
        "AutoModelForCausalLM": "modeling_other.OtherForConditionalGeneration",
    }
    edit(folder / "config.json", model_type="other_llava", auto_map=auto)
    refused(folder, "only with --trust-remote-code")
    loaded = load(folder, trust_remote_code=True)
    assert type(loaded.model).__name__ == "OtherForConditionalGeneration"
    assert len(loaded.anatomy.vision_blocks) == 3


def test_damaged_and_missing_weights(copy: Family) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy("llava")
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    weights.write_bytes(weights.read_bytes()[:-1000])
    refused(folder, "damaged or cut short")
    tensors = {name: value.clone() for name, value in tensors.items() if "multi_modal_projector.linear_1" not in name}
    save_file(tensors, weights, metadata={"format": "pt"})
    refused(folder, r"lacks 2 weights .*linear_1.*random numbers")


@pytest.mark.parametrize("kind", ["gated", "absent", "offline"])
def test_the_hub_refuses(kind: str) -> None:
    from huggingface_hub import errors

    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.refusals import LoadError, explain

    spec = ModelSpec("google/medgemma-4b-it", "medgemma-4b-it", "google/medgemma-4b-it", local=False)
    if kind == "offline":
        with pytest.raises(LoadError, match="not in the local cache and offline was asked for"):
            load(spec, offline=True)
        return
    error = OSError("no")
    source = {"gated": errors.GatedRepoError, "absent": errors.RepositoryNotFoundError}[kind]
    error.__cause__ = source.__new__(source)
    expected = {"gated": "is gated: accept its licence", "absent": "neither a folder here nor a model on the hub"}
    assert expected[kind] in str(explain(spec, error))


def test_an_image_processor_transformers_no_longer_has_is_mended(copy: Family, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    folder = copy("qwen2_5_vl")
    whole = load(folder)
    saved = json.loads((folder / "processor_config.json").read_text())
    settings = {**saved["image_processor"], "image_processor_type": "Qwen2_5_VLImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "processor_class": "Qwen2_5_VLProcessor"}))
    (folder / "processor_config.json").unlink()
    mended = chat.inputs(load(folder), images, PROMPT)
    for name, value in chat.inputs(whole, images, PROMPT).items():
        assert torch.equal(mended[name], value)


def test_a_llava_without_patch_size_is_mended(copy: Family) -> None:
    for name, extra in (("llava", 0), ("llava_clip", 1)):
        folder = copy(name)
        edit(
            folder / "processor_config.json",
            patch_size=None,
            vision_feature_select_strategy=None,
            num_additional_image_tokens=None,
        )
        processor = load(folder).processor
        assert (processor.patch_size, processor.num_additional_image_tokens) == (8, extra)


def test_no_processor_names_the_option(copy: Family, family: Family) -> None:
    folder = copy("llava")
    (folder / "processor_config.json").unlink()
    refused(folder, "name one that fits with --processor")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(folder, "name one that fits with --processor")
    assert load(folder, processor=str(family("llava"))).processor.patch_size == 8


def test_no_template_names_the_option(copy: Family) -> None:
    folder = copy("llava")
    (folder / "chat_template.jinja").unlink()
    refused(folder, "it has no chat template; name one")


def test_paligemma_needs_no_template(copy: Family, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    folder = copy("paligemma")
    (folder / "chat_template.jinja").unlink()
    loaded = load(folder)
    batch = chat.inputs(loaded, images, PROMPT)
    with torch.inference_mode():
        loaded.model(**batch)
    assert loaded.processor.tokenizer.decode(batch["input_ids"][0]).endswith(f"<bos>{PROMPT}\n")


@pytest.mark.parametrize("name", ["llava", "qwen2_vl", "gemma3"])
def test_a_template_for_text_only_gets_the_placeholder(name: str, copy: Family, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    folder = copy(name)
    (folder / "chat_template.jinja").write_text("{{ '<|user|>\n' + messages[0]['content'] + '\n<|assistant|>\n' }}")
    loaded = load(folder)
    batch = chat.inputs(loaded, images, PROMPT)
    with torch.inference_mode():
        loaded.model(**batch)
    assert (batch["input_ids"] == loaded.anatomy.image_token_id).any(1).all()


def test_a_template_without_image_is_named(copy: Family, images: list[Image.Image]) -> None:
    from medprobe.fixtures.models import chat
    from medprobe.fixtures.models.refusals import LoadError

    folder = copy("llava")
    (folder / "chat_template.jinja").write_text("Hello.")
    with pytest.raises(LoadError, match="does not write the image placeholder '<image>'"):
        chat.inputs(load(folder), images, PROMPT)


def test_pixels_are_capped(family: Family, images: list[Image.Image]) -> None:
    from medprobe.fixtures.models import chat

    folder = family("qwen2_vl")
    free, capped = load(folder), load(folder, max_pixels=512)
    large = images[-1]
    counts = [chat.inputs(model, [large], PROMPT)["input_ids"].shape[1] for model in (free, capped)]
    assert counts[1] < counts[0]


def test_an_adapter_is_merged(family: Family, tmp_path: Path) -> None:
    import torch

    peft = pytest.importorskip("peft")
    plain = load(family("llava"))
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(load(family("llava")).model, lora)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = load(family("llava"), adapter=str(tmp_path / "adapter"))
    assert merged.anatomy == plain.anatomy
    name = plain.anatomy.decoder_layers[0] + ".self_attn.q_proj"
    expected = adapted.merge_and_unload().get_submodule(name).weight
    torch.testing.assert_close(merged.model.get_submodule(name).weight, expected)
    assert not torch.equal(expected, plain.model.get_submodule(name).weight)
    refused(family("llava"), "no PEFT adapter folder", adapter=str(tmp_path))


def test_a_live_adapter_says_what_a_merged_one_says(
    family: Family, tmp_path: Path, images: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quantised weights keep their adapter beside them; here the weights stay whole, so that both can be compared."""
    import torch

    from medprobe.fixtures.models import chat, loading

    peft = pytest.importorskip("peft")
    plain = load(family("llava"))
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False)
    adapted = peft.get_peft_model(load(family("llava")).model, lora)
    with torch.no_grad():
        adapted.get_base_model().lm_head.modules_to_save["default"].weight.mul_(-1)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = load(family("llava"), adapter=str(tmp_path / "adapter"))
    monkeypatch.setattr(loading, "_quantization", lambda _kind: None)
    live = load(family("llava"), adapter=str(tmp_path / "adapter"), quantize="4bit")
    assert live.anatomy.vision_blocks == plain.anatomy.vision_blocks
    assert any("lora_A" in name for name, _ in live.model.named_parameters())
    assert not any("lora_A" in name for name, _ in merged.model.named_parameters())
    batch = chat.inputs(plain, images, PROMPT)
    with torch.inference_mode():
        said = [loaded.model(**batch).logits[:, -1] for loaded in (plain, merged, live)]
    torch.testing.assert_close(said[1], said[2], rtol=1e-4, atol=1e-5)
    assert (said[0] - said[1]).abs().max() > 1e-2


def test_an_adapter_of_another_base_is_named(family: Family, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(load(family("qwen3_5")).model, lora).save_pretrained(tmp_path / "other")
    refused(family("llava"), "--adapter .*other does not", adapter=str(tmp_path / "other"))
    lora = peft.LoraConfig(r=2, target_modules=["qkv"], init_lora_weights=False)
    peft.get_peft_model(load(family("qwen2_vl")).model, lora).save_pretrained(tmp_path / "tower")
    refused(family("llava"), "--adapter .*tower does not fit LlavaForCond", adapter=str(tmp_path / "tower"))


def test_quantize_without_bitsandbytes(family: Family) -> None:
    refused(family("llava"), "--quantize 3bit is unknown", quantize="3bit")
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        refused(family("llava"), "needs the package bitsandbytes", quantize="4bit")


def test_device_map(family: Family, images: list[Image.Image]) -> None:
    import torch

    from medprobe.fixtures.models import chat

    loaded = load(family("llava"), device_map="auto")
    with torch.inference_mode():
        loaded.model(**chat.inputs(loaded, images, PROMPT).to(loaded.device))


def test_modules_by_hand(family: Family) -> None:
    from medprobe.fixtures.models.anatomy import AnatomyError, discover

    loaded = load(family("llava"))
    hand = {"vision_blocks": "model.vision_tower.encoder.layers", "connector": "model.multi_modal_projector.linear_2"}
    anatomy = discover(loaded.model, hand)
    assert anatomy.vision_blocks == loaded.anatomy.vision_blocks
    assert anatomy.connector.endswith("linear_2")
    with pytest.raises(AnatomyError, match=r"--modules connector: .* has no module 'model\.nothing'"):
        discover(loaded.model, {"connector": "model.nothing"})
    with pytest.raises(AnatomyError, match="--modules knows tower"):
        discover(loaded.model, {"conector": "x"})


def test_discovery_lists_what_it_looked_for() -> None:
    from torch import nn

    from medprobe.fixtures.models.anatomy import AnatomyError, discover

    with pytest.raises(AnatomyError, match=r"no vision tower found .*vision_tower, visual.*--modules, key 'tower'"):
        discover(nn.Sequential(nn.Linear(2, 2)))
