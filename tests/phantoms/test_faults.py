"""Planted faults: nothing of the image passes the stage that was struck, everything reaches it."""

import numpy as np
import pytest
import torch

from fixtures.models.anatomy import discover
from fixtures.models.families import FAMILIES, build_family
from fixtures.models.loading import load
from fixtures.models.registry import resolve
from fixtures.phantoms.faults import FAULTS, FaultError, plant
from fixtures.phantoms.train import phantom_lesson, tower_exits
from fixtures.phantoms.turns import join, process

STAGES = ("vision", "connector", "llm", "answer")
SAME = 1e-6
"""Greatest spread over images, relative to the values, of what does not depend on the image."""


@pytest.fixture(scope="module")
def lesson():
    return phantom_lesson(seed=7, n_patients=6, images_per_patient=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    built = {}

    def build(family):
        if family not in built:
            built[family] = build_family(family, tmp_path_factory.mktemp(family), seed=1)
        return str(built[family])

    return build


@torch.no_grad()
def spreads(loaded, lesson):
    """How much each stage's exit differs between images, relative to its size."""
    batch = join(process(loaded, lesson.images, lesson.prompt), loaded.processor.tokenizer.pad_token_id)
    seen = {"vision": tower_exits(loaded, batch)}
    image = batch["input_ids"] == loaded.anatomy.image_token_id
    hooks = [
        loaded.model.get_submodule(loaded.anatomy.decoder_layers[0]).register_forward_pre_hook(
            lambda _m, args, kwargs: seen.update(connector=args[0] if args else kwargs["hidden_states"]),
            with_kwargs=True,
        ),
        loaded.model.get_submodule(loaded.anatomy.final_norm).register_forward_hook(
            lambda _m, _args, out: seen.update(last=out)
        ),
    ]
    seen["answer"] = loaded.model(**batch).logits[:, -1]
    for hook in hooks:
        hook.remove()
    states, n = seen.pop("last"), len(image)
    seen["connector"] = seen["connector"][image].reshape(n, -1)
    seen["llm"] = states[:, -1]
    seen["llm_images"] = states[image].reshape(n, -1)
    return {name: ((x - x[:1]).abs().max() / x.abs().max().clamp(min=1e-9)).item() for name, x in seen.items()}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_passes_the_struck_stage(family, fault, folder, lesson):
    loaded = load(resolve(folder(family)))
    plant(loaded.model, loaded.anatomy, fault)
    spread = spreads(loaded, lesson)
    struck = STAGES.index(fault)
    assert all(spread[stage] > 100 * SAME for stage in STAGES[:struck]), spread
    assert all(spread[stage] <= SAME for stage in STAGES[struck:]), spread
    if fault == "llm":
        assert spread["llm_images"] > 100 * SAME


def test_shipped_phantom_with_each_fault(lesson):
    assert min(spreads(load(resolve("phantom")), lesson).values()) > 0.01
    for fault in FAULTS:
        spread = spreads(load(resolve(f"phantom-{fault}")), lesson)
        assert [spread[stage] <= SAME for stage in STAGES] == [i >= STAGES.index(fault) for i in range(4)]


def test_answer_fault_always_says_normal(lesson):
    loaded = load(resolve("phantom-answer"))
    tokenizer = loaded.processor.tokenizer
    batch = join(process(loaded, lesson.images, lesson.prompt), tokenizer.pad_token_id)
    made = loaded.model.generate(**batch, max_new_tokens=4, do_sample=False)[:, batch["input_ids"].shape[1] :]
    assert {word for text in tokenizer.batch_decode(made) for word in text.split()} == {"normal"}


def test_tied_head_is_untied(folder):
    model = load(resolve(folder("llava"))).model
    model.lm_head.weight = model.get_input_embeddings().weight
    plant(model, discover(model), "answer")
    assert model.get_input_embeddings().weight.abs().sum() > 0


def test_unknown_fault_is_named(folder):
    loaded = load(resolve(folder("llava")))
    with pytest.raises(FaultError, match="no fault 'heart'"):
        plant(loaded.model, loaded.anatomy, "heart")


def test_lesson_draws_what_the_data_set_holds(lesson, tmp_path):
    from PIL import Image

    from fixtures.phantoms.images import draw_dataset

    draw_dataset(tmp_path, n_patients=6, images_per_patient=1, seed=7)
    files = [p for p in tmp_path.glob("images/*/*.png") if not p.stem.endswith("_mask")]
    drawn = [np.asarray(Image.open(p).convert("RGB")) for p in sorted(files, key=lambda p: p.stem)]
    assert all((np.asarray(image) == file).all() for image, file in zip(lesson.images, drawn, strict=True))
