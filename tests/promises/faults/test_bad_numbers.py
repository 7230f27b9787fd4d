"""NaN or infinity anywhere in a model names the first place and the dtype, and ends that model with an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import resolve

Family = Callable[[str], Path]
PROMPT, OPTIONS = "Is it normal?", ("normal", "ring")


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(2)]


def loaded(folder: Path, **options: Any) -> Any:
    from medprobe.fixtures.models.loading import load

    return load(resolve(str(folder)), LoadOptions(**{"dtype": "float32", **options}))


def fault(model: Any) -> str:
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.extraction.rows import NumericalFault

    with (
        Extractor(model, PROMPT, OPTIONS, max_new_tokens=3).hooked() as extractor,
        pytest.raises(NumericalFault) as caught,
    ):
        extractor.read(pictures())
    return str(caught.value)


PLACES = {
    "vision layer 0": ("gemma3", lambda anatomy: anatomy.vision_blocks[0]),
    "the connector's input": ("gemma3", lambda anatomy: f"{anatomy.tower}.post_layernorm"),
    "deepstack layer 1": ("qwen3_vl", lambda anatomy: anatomy.deepstack[1]),
    "the decoder's input": ("gemma3", lambda anatomy: anatomy.connector),
    "llm layer 0": ("gemma3", lambda anatomy: anatomy.decoder_layers[0]),
    "llm layer 2": ("gemma3", lambda anatomy: anatomy.final_norm),
    "the logits": ("llava", lambda anatomy: anatomy.head),
}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", PLACES)
def test_the_first_place_is_named(place: str, value: float, family: Family) -> None:
    """A whole part is filled, since one infinite weight may meet a zero, which makes it a NaN, or never be met."""
    import torch

    name, find = PLACES[place]
    model = loaded(family(name))
    with torch.no_grad():
        for parameter in model.model.get_submodule(find(model.anatomy)).parameters():
            parameter.fill_(value)
    assert fault(model) == f"NaN or infinity first at {place}, in torch.float32"


def test_one_weight_is_enough(family: Family) -> None:
    import torch

    model = loaded(family("llava"))
    layer = model.model.get_submodule(model.anatomy.decoder_layers[1])
    with torch.no_grad():
        next(layer.mlp.parameters()).view(-1)[5] = float("nan")
    assert fault(model) == "NaN or infinity first at llm layer 1, in torch.float32"


def test_an_overflow_of_half_precision_is_named(family: Family) -> None:
    import torch

    model = loaded(family("llava"), dtype="float16")
    layer = model.model.get_submodule(model.anatomy.decoder_layers[0])
    with torch.no_grad():
        for parameter in layer.mlp.parameters():
            parameter.fill_(3e4)
    assert fault(model) == "NaN or infinity first at llm layer 0, in torch.float16"


def test_a_fault_that_comes_with_the_written_answer(family: Family) -> None:
    """The prefill is sound; the logits of later tokens are not."""
    model = loaded(family("llava"))

    def spoil(_module: Any, _args: Any, kwargs: dict[str, Any], output: Any) -> None:
        if kwargs.get("input_ids") is not None and kwargs["input_ids"].shape[1] == 1:
            output.logits[:] = float("nan")

    # Before the extractor's own hook, which then sees what generation sees; answers of one token need no second pass.
    model.model.register_forward_hook(spoil, with_kwargs=True)
    model.model.generation_config.eos_token_id = None
    from medprobe.diagnostics.extraction import extractor, options

    single = [1, 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractor, "options_of", lambda *_: options.Options([[(token,)] for token in single], []))
        assert fault(model) == "NaN first in the logits of a written token, in torch.float32"


def test_a_token_that_is_ruled_out_is_no_fault(family: Family) -> None:
    from medprobe.diagnostics.extraction.extractor import Extractor

    model = loaded(family("llava"))
    extractor = Extractor(model, PROMPT, OPTIONS)
    random = extractor._random[0][: len(extractor._options.tokens[0])]
    assert not {*random} & {token for ways in extractor._options.tokens for tokens in ways for token in tokens}

    def rule_out(_module: Any, _args: Any, output: Any) -> None:
        output.logits[..., random] = -float("inf")

    model.model.register_forward_hook(rule_out)
    with Extractor(model, PROMPT, OPTIONS, max_new_tokens=2).hooked() as extractor:
        batch = extractor.read(pictures())
    assert np.isneginf(batch.random_log_likelihoods[:, 0]).all()
    assert np.isfinite(batch.option_log_likelihoods).all()
