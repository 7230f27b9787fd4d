"""The last of the tower's blocks on the way to the connector is found by what is read, not by equal numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from medprobe.fixtures.models.load_options import LoadOptions

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
N_BLOCKS = 3


def opened(folder: Path, layer: int | list[int] | None = None) -> Any:
    """The checkpoint in float32; of several layers read, the connector takes all side by side."""
    from torch import nn

    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    loaded = load(resolve(str(folder)), LoadOptions(dtype="float32"))
    if layer is not None:
        loaded.model.config.vision_feature_layer = layer
    if isinstance(layer, list):
        connector = loaded.model.get_submodule(loaded.anatomy.connector)
        first = connector.linear_1
        connector.linear_1 = nn.Linear(len(layer) * first.in_features, first.out_features)
    return loaded


def blocks_read(loaded: Any) -> int:
    """How many blocks the curve has, from a whole reading."""
    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(loaded, PROMPT, ("normal", "pneumonia"), max_new_tokens=1).hooked() as extractor:
        features = extractor.read([Image.new("RGB", (32, 32), "grey")]).features
    blocks = {int(name.split(".")[1]) for name in features if name.startswith("vision.")}
    assert blocks == set(range(len(blocks)))
    return len(blocks)


@pytest.mark.parametrize("family", ["llava", "llava_clip", "llava_next", "internvl"])
@pytest.mark.parametrize("layer", [-1, -2, -4, 1])
def test_any_layer_may_be_read(family: str, layer: int, checkpoints: dict[str, Path]) -> None:
    loaded = opened(checkpoints[family], layer)
    assert blocks_read(loaded) == planned(loaded) == max(1, layer % (N_BLOCKS + 1))


@pytest.mark.parametrize("layers", [[-2], [-2, -3], [-3, -2], [1, -1], [0, 1]])
def test_several_layers_may_be_read(layers: list[int], checkpoints: dict[str, Path]) -> None:
    loaded = opened(checkpoints["llava_clip"], layers)
    assert blocks_read(loaded) == planned(loaded) == max(layer % (N_BLOCKS + 1) for layer in layers)


def test_the_plan_counts_several_layers(checkpoints: dict[str, Path]) -> None:
    from medprobe.fixtures.models.size.meta import shape_of

    loaded = opened(checkpoints["llava_clip"], [-2, -3, -1])
    shape = shape_of(loaded.model)
    connector = loaded.model.get_submodule(loaded.anatomy.connector)
    assert shape.connector_parameters == sum(p.numel() for p in connector.parameters())
    assert shape.exit_width == connector.linear_1.in_features


def planned(loaded: Any) -> int:
    from medprobe.fixtures.models.size.meta import shape_of

    return shape_of(loaded.model).read_blocks


def test_rounding_changes_nothing(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two means of the same states differ in the last bits where their rows are summed in another order, as they do on
    some processors where the class token is dropped.
    """
    from medprobe.diagnostics.extraction.pooling import Rows

    calls = iter(range(1000))
    mean = Rows.mean
    monkeypatch.setattr(Rows, "mean", lambda self, states: mean(self, states) * (1 + 1e-6 * next(calls)))
    assert blocks_read(opened(checkpoints["llava_clip"])) == N_BLOCKS - 1


def test_equal_numbers_change_nothing(checkpoints: dict[str, Path]) -> None:
    """Blocks that hand on what they were given, as in a tower pruned by zeros, are read or not read as before."""
    import torch

    loaded = opened(checkpoints["llava_clip"])
    for name in loaded.anatomy.vision_blocks[1:]:
        block = loaded.model.get_submodule(name)
        with torch.no_grad():
            for part in (block.self_attn.out_proj, block.mlp.fc2):
                part.weight.zero_()
                part.bias.zero_()
    assert blocks_read(loaded) == N_BLOCKS - 1


def test_states_changed_after_the_block_are_still_its_own(checkpoints: dict[str, Path]) -> None:
    loaded = opened(checkpoints["llava_clip"])

    def twice(_module: Any, _args: Any, output: Any) -> None:
        (output[0] if isinstance(output, tuple) else output).mul_(2)

    for name in loaded.anatomy.vision_blocks:
        loaded.model.get_submodule(name).register_forward_hook(twice)
    assert blocks_read(loaded) == N_BLOCKS - 1


def test_a_block_that_writes_into_what_is_read_is_read(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last block adds to its input in place, so that the tensor kept from the block before holds its result."""
    loaded = opened(checkpoints["llava_clip"])
    last = loaded.model.get_submodule(loaded.anatomy.vision_blocks[-1])
    monkeypatch.setattr(last, "forward", lambda states, *_, **__: states.add_(1))
    assert blocks_read(loaded) == N_BLOCKS


def test_nothing_is_left_behind(checkpoints: dict[str, Path]) -> None:
    import torch

    from medprobe.diagnostics.extraction.extractor import last_used_block

    loaded = opened(checkpoints["llava_clip"])
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    random = torch.random.get_rng_state()
    assert last_used_block(loaded, PROMPT) == N_BLOCKS - 2
    # The same bytes, since nothing may have been written.
    assert all(torch.equal(before[name], value) for name, value in loaded.model.state_dict().items())
    assert torch.equal(random, torch.random.get_rng_state())
    hooks = [
        hook
        for name in (*loaded.anatomy.vision_blocks, loaded.anatomy.connector)
        for kind in ("_forward_hooks", "_forward_pre_hooks")
        for hook in getattr(loaded.model.get_submodule(name), kind).values()
    ]
    assert not [hook for hook in hooks if "last_used_block" in repr(hook) or "_connector_input" in repr(hook)]
