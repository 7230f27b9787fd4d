"""Features of every family against an independent reading of the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.fixtures.models.load_options import LoadOptions
from tests.family_names import FAMILIES

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
OPTIONS = ("normal", "no sign of pneumonia")
WITH_CLASS_TOKEN = ("llava_clip", "llava_next", "internvl")
WITHOUT_THE_LAST_BLOCK = ("llava_clip", "llava_next")
IMAGE_INPUTS = {
    "pixel_values",
    "image_sizes",
    "image_grid_thw",
    "pixel_attention_mask",
    "batch_num_images",
    "image_merge_sizes",
}


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (48, 33), (40, 70)]
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def test_every_family_is_read() -> None:
    from medprobe.fixtures.phantoms.families.checkpoints import FAMILIES as built

    assert list(built) == FAMILIES


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Any:
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    return load(resolve(str(checkpoints[request.param])), LoadOptions(dtype="float32"))


@pytest.fixture(scope="module")
def together(loaded: Any) -> Any:
    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(loaded, PROMPT, OPTIONS, max_new_tokens=3).hooked() as extractor:
        return extractor.read(pictures())


def test_a_batch_reads_what_single_images_read(loaded: Any, together: Any) -> None:
    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(loaded, PROMPT, OPTIONS, max_new_tokens=3).hooked() as extractor:
        alone = [extractor.read([picture]) for picture in pictures()]
    for name, values in together.features.items():
        one_by_one = np.concatenate([batch.features[name] for batch in alone])
        np.testing.assert_allclose(values, one_by_one, rtol=2e-3, atol=2e-4, err_msg=name)
        # A first layer without full attention need not have carried the image to the last token.
        if not name.endswith(".last"):
            assert np.abs(values[0] - values[1]).max() > 0, name
    options = np.concatenate([batch.option_log_likelihoods for batch in alone])
    np.testing.assert_allclose(together.option_log_likelihoods, options, rtol=1e-3, atol=1e-3)
    assert together.texts == [batch.texts[0] for batch in alone]


def test_one_prefill_an_image(loaded: Any) -> None:
    """Tower and connector run once; every decoder layer sees the prompt once, then single tokens of the answers."""
    from medprobe.diagnostics.extraction.extractor import Extractor

    widths: dict[str, list[int]] = {name: [] for name in (*loaded.anatomy.decoder_layers, loaded.anatomy.connector)}

    def note(name: str) -> Any:
        return lambda _m, args, kwargs: widths[name].append((args[0] if args else next(iter(kwargs.values()))).shape[1])

    hooks = [loaded.model.get_submodule(n).register_forward_pre_hook(note(n), with_kwargs=True) for n in widths]
    with Extractor(loaded, PROMPT, OPTIONS, max_new_tokens=3).hooked() as extractor:
        prompt = extractor.prepare(pictures()).batch["input_ids"].shape[1]
        extractor.read(pictures())
    for hook in hooks:
        hook.remove()
    assert len(widths.pop(loaded.anatomy.connector)) == 1
    longest = max(map(len, extractor._options.runs()))
    for seen in widths.values():
        assert seen[0] == prompt
        assert max(seen[1:]) <= longest


def test_the_decoder_is_read_as_it_reports_itself(loaded: Any, together: Any) -> None:
    import torch

    from medprobe.fixtures.models import chat

    batch = chat.inputs(loaded, pictures(), PROMPT)
    with torch.inference_mode():
        output = loaded.model(**batch, output_hidden_states=True)
    at_image = batch["input_ids"] == loaded.anatomy.image_token_id
    n_layers = len(loaded.anatomy.decoder_layers)
    assert len(output.hidden_states) == n_layers + 1
    assert {name for name in together.features if name.startswith("llm.")} == {
        f"llm.{i}.{readout}" for i in range(n_layers) for readout in ("mean", "last")
    }
    for i, states in enumerate(output.hidden_states[1:]):
        mean = torch.stack([s[m].mean(dim=0) for s, m in zip(states, at_image, strict=True)])
        np.testing.assert_allclose(together.features[f"llm.{i}.last"], states[:, -1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(together.features[f"llm.{i}.mean"], mean, rtol=1e-3, atol=1e-4)
    head = loaded.model.get_submodule(loaded.anatomy.head)
    last = torch.from_numpy(together.features[f"llm.{n_layers - 1}.last"])
    with torch.inference_mode():
        logits = head(last)
    assert (logits.argmax(dim=-1) == output.logits[:, -1].argmax(dim=-1)).all()


def test_the_connector_is_read_where_the_decoder_takes_it(loaded: Any, together: Any) -> None:
    import torch

    from medprobe.fixtures.models import chat

    batch = chat.inputs(loaded, pictures(), PROMPT)
    counts = (batch["input_ids"] == loaded.anatomy.image_token_id).sum(dim=1).tolist()
    with torch.inference_mode():
        features = loaded.model.get_image_features(**{k: v for k, v in batch.items() if k in IMAGE_INPUTS})
    flat = torch.cat([part.reshape(-1, part.shape[-1]) for part in features.pooler_output])
    mean = torch.stack([part.mean(dim=0) for part in flat.split(counts)])
    width = mean.shape[1]
    connector = together.features["connector.0.mean"]
    np.testing.assert_allclose(connector[:, :width], mean, rtol=1e-3, atol=1e-4)
    assert connector.shape[1] == width * (1 + len(loaded.anatomy.deepstack))
    grid = together.features["connector.0.grid"][:, : 16 * width].reshape(3, 16, width)
    merges = batch["image_merge_sizes"].tolist() if "image_merge_sizes" in batch else [2, 2, 2]
    for i, tokens in enumerate(flat.split(counts)):
        lattice = [side // merges[i] for side in batch["image_grid_thw"][i, 1:]] if "image_grid_thw" in batch else None
        np.testing.assert_allclose(grid[i], by_region(tokens.numpy(), lattice), rtol=1e-3, atol=1e-4)


def by_region(tokens: np.ndarray, lattice: list[int] | None) -> np.ndarray:
    """Means of 4 x 4 regions of tokens read row by row, [16, width]; sixteen runs where they are no lattice."""
    n = len(tokens)
    side = round(n**0.5)
    height, width = lattice or ((side, side) if side * side == n else (0, 0))
    cells: list[list[np.ndarray]] = [[] for _ in range(16)]
    for k, token in enumerate(tokens):
        row, column = divmod(k, int(width)) if width else (0, 0)
        cell = row * 4 // int(height) * 4 + column * 4 // int(width) if width else k * 16 // n
        cells[cell].append(token)
    return np.stack([np.mean(cell, axis=0) if cell else np.zeros_like(tokens[0]) for cell in cells])


def test_every_block_is_read_as_the_tower_reports_itself(loaded: Any, together: Any) -> None:
    """Means over an image's own patches, all its tiles and no class token, from the tower's own hidden states."""
    import torch

    from medprobe.fixtures.models import chat

    layers = sorted({int(n.split(".")[1]) for n in together.features if n.startswith("vision.")})
    for i, picture in enumerate(pictures()):
        batch = chat.inputs(loaded, [picture], PROMPT)
        given = {k: v for k, v in batch.items() if k in IMAGE_INPUTS}
        with torch.inference_mode():
            states = loaded.model.get_image_features(**given, output_hidden_states=True).hidden_states
        assert len(states) == 1 + len(loaded.anatomy.vision_blocks)
        # The last is read at the tower's exit, which a test of its own covers.
        for layer in layers[:-1]:
            block = states[layer + 1]
            if block.ndim == 3 and loaded.name in WITH_CLASS_TOKEN:
                block = block[:, 1:]
            mean = block.reshape(-1, block.shape[-1]).mean(dim=0)
            np.testing.assert_allclose(together.features[f"vision.{layer}.mean"][i], mean, rtol=1e-3, atol=2e-4)


def test_the_tower_is_read_up_to_its_exit(loaded: Any, together: Any) -> None:
    import torch

    from medprobe.fixtures.models import chat

    got: list[torch.Tensor] = []
    connector = loaded.model.get_submodule(loaded.anatomy.connector)
    hook = connector.register_forward_pre_hook(
        lambda _m, args, kwargs: got.append(args[0] if args else next(iter(kwargs.values()))), with_kwargs=True
    )
    batch = chat.inputs(loaded, pictures()[:1], PROMPT)
    with torch.inference_mode():
        loaded.model(**batch)
    hook.remove()
    exits = sorted({int(n.split(".")[1]) for n in together.features if n.startswith("vision.")})
    assert exits == list(range(3 - (loaded.name in WITHOUT_THE_LAST_BLOCK)))
    states = got[0].reshape(-1, got[0].shape[-1])
    np.testing.assert_allclose(
        together.features[f"vision.{exits[-1]}.mean"][0], states.mean(dim=0), rtol=1e-3, atol=2e-4
    )


def whole_log_likelihood(loaded: Any, tokens: tuple[int, ...], ends: list[int]) -> Any:
    """Of tokens after the prompt, and of any of `ends` after them, from one pass without a cache: a scalar."""
    import torch

    from medprobe.fixtures.models import chat

    batch = chat.inputs(loaded, pictures()[:1], PROMPT)
    n_prompt = batch["input_ids"].shape[1]
    given = torch.tensor([tokens])
    whole = {**batch, "input_ids": torch.cat([batch["input_ids"], given], dim=1)}
    for name in ("attention_mask", "token_type_ids", "mm_token_type_ids"):
        if name in batch:
            extra = torch.full_like(given, 1 if name == "attention_mask" else 0)
            whole[name] = torch.cat([batch[name], extra], dim=1)
    with torch.inference_mode():
        scores = torch.log_softmax(loaded.model(**whole).logits[0, n_prompt - 1 :].float(), dim=-1)
    written = scores[:-1].gather(1, given[0][:, None]).sum()
    return written + scores[-1, ends].logsumexp(dim=-1) if ends else written


def test_options_are_scored_whole(loaded: Any, together: Any) -> None:
    """The product over a writing's tokens, summed over the ways of writing an answer."""
    import torch

    from medprobe.diagnostics.extraction.options import options_of

    options = options_of(loaded, PROMPT, OPTIONS)
    for ways, scored in zip(options.tokens, together.option_log_likelihoods[0], strict=True):
        assert len(ways) >= 3
        expected = torch.stack([whole_log_likelihood(loaded, tokens, []) for tokens in ways]).logsumexp(dim=0)
        assert scored == pytest.approx(expected.item(), rel=1e-3, abs=1e-3)


def test_an_answer_that_begins_another_is_scored_with_its_end(loaded: Any, together: Any) -> None:
    """So that the likelihoods of all answers are of events that exclude each other."""
    import torch

    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(loaded, PROMPT, ("normal", "normal variant"), max_new_tokens=1).hooked() as extractor:
        batch = extractor.read(pictures()[:1])
    options, ends = extractor._options, loaded.model.generation_config.eos_token_id
    assert options.ends == (ends if isinstance(ends, list) else [ends])
    for ways, scored in zip(options.tokens, batch.option_log_likelihoods[0], strict=True):
        expected = torch.stack([whole_log_likelihood(loaded, tokens, options.ends) for tokens in ways]).logsumexp(dim=0)
        assert scored == pytest.approx(expected.item(), rel=1e-3, abs=1e-3)


def test_a_model_that_writes_a_space_first_is_scored_by_what_it_writes() -> None:
    """The phantom, the head's rows of `normal` and ` normal` exchanged, and so of every answer."""
    import torch

    from medprobe.diagnostics.extraction.answers import parse
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.images import ANSWERS
    from medprobe.fixtures.phantoms.images import PROMPT as ASKED
    from medprobe.fixtures.phantoms.train import phantom_lesson

    loaded, images = load(resolve("phantom")), phantom_lesson(seed=5, n_patients=30, images_per_patient=1).images
    tokenizer, head = loaded.processor.tokenizer, loaded.model.get_submodule(loaded.anatomy.head)
    plain, spaced = (tokenizer.convert_tokens_to_ids([f"{space}{a}" for a in ANSWERS]) for space in ("", "\u0120"))
    with torch.no_grad():
        head.weight[[*plain, *spaced]] = head.weight[[*spaced, *plain]].clone()
    with Extractor(loaded, ASKED, ANSWERS, max_new_tokens=4).hooked() as extractor:
        batch = extractor.read(images)
    said = [parse(text, [[answer] for answer in ANSWERS]) for text in batch.texts]
    assert set(said) == {0, 1, 2}
    assert batch.option_log_likelihoods.argmax(axis=1).tolist() == said


def test_a_model_that_reasons_unannounced_is_asked_again_with_room(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medprobe.diagnostics.extraction import extractor as extraction
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    loaded = load(resolve(str(checkpoints["llava"])), LoadOptions(dtype="float32"))
    loaded.model.generation_config.eos_token_id = None
    asked: list[int] = []

    def decode(_: Any, tokens: Any) -> str:
        asked.append(len(tokens))
        return "<think>round" if len(tokens) < 9 else "<think>round</think>normal"

    monkeypatch.setattr(extraction, "REASONING_TOKENS", 9)
    monkeypatch.setattr(extraction, "written", decode)
    with extraction.Extractor(loaded, PROMPT, OPTIONS, max_new_tokens=2).hooked() as extractor:
        texts = [extractor.read(pictures()[:1]).texts for _ in range(2)]
    assert texts == [["<think>round</think>normal"]] * 2
    assert asked == [2, 9, 9]


def test_hooks_are_gone_afterwards(loaded: Any) -> None:
    from medprobe.diagnostics.extraction.extractor import Extractor

    def count() -> int:
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in loaded.model.modules())

    before = count()
    with Extractor(loaded, PROMPT, OPTIONS).hooked():
        assert count() > before
    assert count() == before


@pytest.mark.parametrize(
    ("part", "complaint"),
    [("vision_blocks", "first at vision layer 1"), ("decoder_layers", "first at llm layer 1")],
)
def test_a_nan_names_its_layer(checkpoints: dict[str, Path], part: str, complaint: str) -> None:
    import torch

    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.extraction.rows import NumericalFault
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    loaded = load(resolve(str(checkpoints["gemma3"])), LoadOptions(dtype="float32"))
    with torch.no_grad():
        for parameter in loaded.model.get_submodule(getattr(loaded.anatomy, part)[1]).parameters():
            parameter.fill_(float("nan"))
    with (
        Extractor(loaded, PROMPT, OPTIONS).hooked() as extractor,
        pytest.raises(NumericalFault, match=f"NaN or infinity {complaint}, in torch.float32"),
    ):
        extractor.read(pictures())
