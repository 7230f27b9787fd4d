from __future__ import annotations

import pytest

from medprobe.fixtures.models.kinship import OtherArchitecture, config_difference, require_kin, visible_difference
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import ModelSpec, resolve
from tests.causes.samples import renumbered


def test_one_architecture_with_other_weights_is_kin(checkpoints):
    one = resolve(str(checkpoints["llava"]))
    assert visible_difference(one, one) is None
    require_kin(load(one), load(one))


def test_what_folders_show(checkpoints):
    specs = {name: resolve(str(folder)) for name, folder in checkpoints.items()}
    assert visible_difference(specs["llava"], specs["gemma3"]) == "model_type is llava and gemma3"
    assert visible_difference(specs["llava"], specs["llava_clip"]) == (
        "vision_config.model_type is siglip_vision_model and clip_vision_model"
    )
    hub = ModelSpec("a/b", name="b", source="a/b", local=False)
    assert visible_difference(specs["llava"], hub) is None


def test_keys_that_one_side_leaves_to_the_default_are_no_difference():
    first = {"text_config": {"hidden_size": 8, "vocab_size": 400}, "dtype": "float32"}
    assert config_difference(first, {"text_config": {"hidden_size": 8}, "dtype": "bfloat16"}) is None
    assert config_difference(first, {"text_config": {"hidden_size": 9}}) == "text_config.hidden_size is 8 and 9"


def test_another_family_is_refused_when_loaded(checkpoints):
    with pytest.raises(OtherArchitecture, match=r"the class is Idefics3\w+ and SmolVLM"):
        require_kin(load(resolve(str(checkpoints["idefics3"]))), load(resolve(str(checkpoints["smolvlm"]))))


def test_other_words_under_the_same_numbers_are_refused(tmp_path):
    with pytest.raises(OtherArchitecture, match="number the words differently"):
        require_kin(load(resolve("phantom")), load(resolve(str(renumbered(tmp_path / "renumbered")))))


def test_numbers_without_weights_are_no_refusal(checkpoints):
    from medprobe.fixtures.models.input_settings import altered

    for family, changes in (
        ("llava", {"config.vision_feature_layer": -2, "config.vision_feature_select_strategy": "full"}),
        ("gemma3", {"config.mm_tokens_per_image": 1}),
    ):
        loaded = load(resolve(str(checkpoints[family])))
        require_kin(loaded, altered(loaded, changes))


def test_other_widths_and_tables_are_refused_and_heads_are_not(checkpoints):
    """A tower for larger pictures has a longer table of positions."""
    import torch

    one, other = (load(resolve(str(checkpoints["llava"]))) for _ in range(2))
    table = next(m for m in other.model.modules() if isinstance(m, torch.nn.Embedding) and m.num_embeddings < 100)
    head = other.model.get_submodule(other.anatomy.head)
    head.weight = torch.nn.Parameter(head.weight.detach()[:-1].clone())
    require_kin(one, other)
    table.weight = torch.nn.Parameter(table.weight.detach().repeat(2, 1))
    with pytest.raises(OtherArchitecture, match=r"position_embedding.weight is of shape \(16, 32\) and \(32, 32\)"):
        require_kin(one, other)
