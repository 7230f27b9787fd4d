"""Hybrids of every family against models whose weights were really copied."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.diagnostics.records.chain import STAGES
from medprobe.fixtures.models.load_options import LoadOptions
from tests.conftest import SMALL
from tests.family_names import FAMILIES

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
OPTIONS = ("normal", "no sign of pneumonia")
TIED = ("llava", "gemma3", "qwen2_vl")


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = [(32, 32), (48, 33), (40, 70)]
    return [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def opened(folder: Path) -> Any:
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve

    return load(resolve(str(folder)), LoadOptions(dtype="float32"))


def plain_scores(loaded: Any) -> np.ndarray:
    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(loaded, PROMPT, OPTIONS, max_new_tokens=1).hooked() as extractor:
        return extractor.read(pictures()).option_log_likelihoods


def same(one: np.ndarray, other: np.ndarray) -> None:
    """But for rounding: where tensors lie in memory may change the order in which a processor adds."""
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def all_sixteen(anatomy: Any) -> list[tuple[int, ...]]:
    from medprobe.diagnostics.causes.pieces import depths
    from medprobe.diagnostics.causes.shapley import coalitions

    return [tuple(d * m for d, m in zip(depths(anatomy), members, strict=True)) for members in coalitions(4)]


def copied(original: Any, other: Any, stage: str) -> Any:
    """A copy of a model, the weights of one module overwritten with those of `other`."""
    import torch

    loaded = replace(original, model=copy.deepcopy(original.model))
    anatomy = loaded.anatomy
    between = (anatomy.connector, *anatomy.deepstack)

    def owner(name: str) -> str:
        if name.startswith(f"{anatomy.head}."):
            return "answer"
        if name.startswith(f"{anatomy.decoder}."):
            return "llm"
        inside = name.startswith(f"{anatomy.tower}.") and not name.startswith(tuple(f"{b}." for b in between))
        return "vision" if inside else "connector"

    head = loaded.model.get_submodule(anatomy.head)
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    source = other.model.state_dict()
    target = dict(loaded.model.named_parameters(remove_duplicate=False))
    with torch.no_grad():
        names = [name for name in target if owner(name) == stage]
        assert names
        for name in names:
            target[name].copy_(source[name])
    return loaded


class Pair:
    def __init__(self, folder: Path, other: Path) -> None:
        from medprobe.diagnostics.causes.hybrids import Hybrids

        self.folder = folder
        self.model, self.against = opened(folder), opened(other)
        self.choices = all_sixteen(self.model.anatomy)
        reader = Hybrids(self.model, self.against, PROMPT, OPTIONS)
        with reader.ready():
            self.scores = reader.scores(pictures(), self.choices)
        self.passes = dict(reader.passes)


@pytest.fixture(scope="module", params=[*FAMILIES, *(f"{family}, tied" for family in TIED)])
def pair(request: pytest.FixtureRequest, checkpoints: dict[str, Path], tmp_path_factory: Any) -> Pair:
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    family, _, tied = request.param.partition(", ")
    root = tmp_path_factory.mktemp("others")
    other = build_family(family, root / "other", seed=2, **SMALL)
    folder = build_family(family, root / "tied", seed=1, tied=True, **SMALL) if tied else checkpoints[family]
    return Pair(folder, other)


def test_the_ends_are_the_two_models(pair: Pair) -> None:
    fresh = opened(pair.folder)
    same(pair.scores[0], plain_scores(fresh))
    same(pair.scores[-1], plain_scores(pair.against))
    # Models are as they were before once all hybrids were read, to the bit: their weights are put back, not computed.
    before, after = fresh.model.state_dict(), pair.model.model.state_dict()
    assert before.keys() == after.keys()
    assert all(after[name].equal(before[name]) for name in before)
    assert not any("forward" in vars(module) for module in pair.model.model.modules())


@pytest.mark.parametrize("stage", STAGES)
def test_one_module_swapped_is_its_weights_copied(pair: Pair, stage: str) -> None:
    alone = [
        i for i, choice in enumerate(pair.choices) if [s for s, n in zip(STAGES, choice, strict=True) if n] == [stage]
    ]
    expected = plain_scores(copied(pair.model, pair.against, stage))
    assert np.abs(expected - pair.scores[0]).max() > 1e-4
    same(pair.scores[alone[0]], expected)


def test_what_hybrids_share_is_computed_once(pair: Pair) -> None:
    from medprobe.diagnostics.extraction.options import options_of

    anatomy = pair.model.anatomy
    inside = anatomy.connector.startswith(f"{anatomy.tower}.")
    tower = anatomy.vision_blocks if inside else (anatomy.tower,)
    assert all(pair.passes[name] == 2 for name in tower)
    assert all(pair.passes[name] == 4 for name in (anatomy.connector, *anatomy.deepstack))
    # Eight passes over the prompt, and one for each run of further tokens, of which fresh weights make none unlikely.
    further = set(options_of(pair.model, PROMPT, OPTIONS).runs()) - {()}
    assert pair.passes[anatomy.decoder] == 8 * (1 + len(further))


def test_every_weight_is_in_one_piece(pair: Pair) -> None:
    from medprobe.diagnostics.causes.pieces import depths, pieces

    model, anatomy = pair.model.model, pair.model.anatomy
    found = pieces(model, anatomy)
    for name, _ in model.named_parameters(remove_duplicate=False):
        assert sum(name == p.path or name.startswith(f"{p.path}.") for p in found) == 1, name
    for stage, depth in zip(STAGES, depths(anatomy), strict=True):
        assert {p.layer for p in found if p.stage == stage} == set(range(depth))


def test_a_prefix_of_layers_is_those_layers_copied(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Embeddings go with the first decoder layer."""
    import torch

    from medprobe.diagnostics.causes.hybrids import Hybrids
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    model = opened(checkpoints["gemma3"])
    against = opened(build_family("gemma3", tmp_path / "other", seed=2, **SMALL))
    copied = opened(checkpoints["gemma3"])
    anatomy = model.anatomy
    with torch.no_grad():
        for name in (f"{anatomy.decoder}.embed_tokens", *anatomy.decoder_layers[:2]):
            copied.model.get_submodule(name).load_state_dict(against.model.get_submodule(name).state_dict())
    reader = Hybrids(model, against, PROMPT, OPTIONS)
    with reader.ready():
        scores = reader.scores(pictures(), [(0, 0, 2, 0)])
    same(scores[0], plain_scores(copied))


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "live"])
def test_an_adapter_is_swapped_with_its_module(checkpoints: dict[str, Path], merge: bool) -> None:
    """A live adapter, as under quantisation, gives its layers more weights than those of the model without it."""
    peft = pytest.importorskip("peft")
    from medprobe.diagnostics.causes.hybrids import Hybrids
    from medprobe.diagnostics.causes.pieces import depths
    from medprobe.fixtures.models.anatomy import discover
    from medprobe.fixtures.models.kinship import require_kin

    plain = opened(checkpoints["llava"])
    lora = peft.LoraConfig(r=2, target_modules=r".*language_model.*q_proj", init_lora_weights=False)
    adapted = peft.get_peft_model(opened(checkpoints["llava"]).model, lora)
    model = adapted.merge_and_unload() if merge else adapted.get_base_model()
    loaded = replace(plain, model=model.eval(), anatomy=discover(model))
    require_kin(loaded, plain)
    _, _, layers, _ = depths(loaded.anatomy)
    reader = Hybrids(loaded, plain, PROMPT, OPTIONS)
    with reader.ready():
        itself, without = reader.scores(pictures(), [(0, 0, 0, 0), (0, 0, layers, 0)])
    assert np.abs(itself - without).max() > 1e-4
    same(without, plain_scores(plain))
    same(itself, plain_scores(loaded))
