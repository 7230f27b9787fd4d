"""Planted faults: what destroys stops the image at its stage, what shifts keeps it, what is healthy changes nothing."""

import copy
import functools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.models.answer_tokens import writings
from medprobe.fixtures.models.fingerprint import fingerprint
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import images as drawn
from medprobe.fixtures.phantoms.families.checkpoints import FAMILIES, build_family
from medprobe.fixtures.phantoms.faults import DEFAULTS, MECHANISMS, STAGES, FaultError, Planted, find, parse, plant
from medprobe.fixtures.phantoms.faults.answer import LOUD
from medprobe.fixtures.phantoms.faults.input import LOOK_ALIKES
from medprobe.fixtures.phantoms.train import COLON, COLON_FOR, phantom_lesson, tower_exits
from medprobe.fixtures.phantoms.turns import join, process

PLACES = ("vision", "connector", "llm", "answer")
STRUCK = ("llava", "gemma3", "qwen2_5_vl", "internvl")
SAME = 1e-6
"""Greatest spread over images, relative to the values, of what does not depend on the image; and greatest difference of
what does not depend on the fault: two passes over equal weights may round otherwise.
"""

REFUSED = {
    ("gemma3", "connector.dead_units"): "no hidden units",
    ("gemma3", "connector.offset"): "takes no bias",
    ("qwen3_5", "llm.empty_values"): "no value projection",
}
WEIGHTS = [name for name in MECHANISMS if not name.startswith("input.") and name not in {m.name for m in LOOK_ALIKES}]
EACH = [(family, name) for family in STRUCK for name in WEIGHTS if (family, name) not in REFUSED]


def of_kind(*kinds):
    return [(family, name) for family, name in EACH if MECHANISMS[name].kind in kinds]


@pytest.fixture(scope="module")
def lesson():
    return phantom_lesson(seed=7, n_patients=6, images_per_patient=1)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Copies of a loaded tiny checkpoint whose vocabulary holds the answers as whole words.

    Norms and biases are made uneven: as built, they are the same in every channel, so that no mistake of order shows.
    """
    built = {}

    def build(family):
        if family not in built:
            texts = [drawn.PROMPT, *drawn.ANSWERS] * 8
            folder = build_family(family, tmp_path_factory.mktemp(family), seed=1, texts=texts)
            built[family] = load(resolve(str(folder)))
            chance = torch.Generator().manual_seed(0)
            for parameter in built[family].model.parameters():
                if parameter.ndim == 1:
                    parameter.data += 0.1 * torch.randn(parameter.shape, generator=chance)
        return replace(built[family], model=copy.deepcopy(built[family].model))

    return build


@pytest.fixture(scope="module")
def before(sound, lesson):
    """The exits of the healthy checkpoint of a family."""
    return functools.cache(lambda family: exits(sound(family), lesson))


@torch.no_grad()
def exits(loaded, lesson):
    """The states at each stage's exit, [n_images, width], and at the decoder's image positions."""
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
    return seen


def apart(x, y):
    """The greatest difference, relative to the values; 0 where both are 0."""
    return ((x - y).abs().max() / x.abs().max().clamp(min=1e-9)).item()


def spreads(seen):
    """How much each exit differs between images."""
    return {name: apart(x, x[:1].expand_as(x)) for name, x in seen.items()}


def choice(loaded, logits):
    """The answers' logits relative to their mean: what the choice among them is made from."""
    tokenizer = loaded.processor.tokenizer
    words = [tokenizer(answer, add_special_tokens=False)["input_ids"][0] for answer in drawn.ANSWERS]
    return logits[:, words] - logits[:, words].mean(1, keepdim=True)


@pytest.mark.parametrize(("family", "name"), of_kind("destroys"))
def test_nothing_passes_what_is_destroyed(family, name, sound, before, lesson):
    healthy = before(family)
    loaded = sound(family)
    plant(loaded, name)
    after = exits(loaded, lesson)
    if name == "answer.equal_words":
        after["answer"] = choice(loaded, after["answer"])
    spread, struck = spreads(after), PLACES.index(MECHANISMS[name].stage)
    assert all(apart(healthy[place], after[place]) <= SAME for place in PLACES[:struck])
    assert all(spread[place] > 100 * SAME for place in PLACES[:struck]), spread
    assert all(spread[place] <= SAME for place in PLACES[struck:]), spread
    assert torch.isfinite(after["answer"]).all()


@pytest.mark.parametrize("fault", PLACES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_stage_alone_destroys_in_every_family(family, fault, sound, lesson):
    loaded = sound(family)
    plant(loaded, fault)
    spread, struck = spreads(exits(loaded, lesson)), PLACES.index(fault)
    assert all(spread[place] > 100 * SAME for place in PLACES[:struck]), spread
    assert all(spread[place] <= SAME for place in PLACES[struck:]), spread
    if fault == "llm":
        assert spread["llm_images"] > 100 * SAME


@pytest.mark.parametrize(("family", "name"), of_kind("degrades"))
def test_more_of_the_knob_is_more_of_the_fault(family, name, sound, before, lesson):
    stage = MECHANISMS[name].stage
    healthy, moved = before(family), []
    for knob in (0.1, 1):
        loaded = sound(family)
        plant(loaded, f"{name}@{knob}")
        after = exits(loaded, lesson)
        assert all(apart(healthy[place], after[place]) <= SAME for place in PLACES[: PLACES.index(stage)])
        moved.append((after[stage] - healthy[stage]).square().mean().item())
    # In an untrained decoder one layer cut may move the state further than all of them.
    assert 0 < moved[0] < moved[1] or (name == "llm.cut" and min(moved) > 0)


@pytest.mark.parametrize(("family", "name"), of_kind("shifts"))
def test_what_is_shifted_is_all_there(family, name, sound, before, lesson):
    """An invertible linear map keeps the angles between images, or has an inverse that gives the features back."""
    healthy = before(family)
    loaded = sound(family)
    plant(loaded, name)
    after, stage = exits(loaded, lesson), MECHANISMS[name].stage
    assert all(apart(healthy[place], after[place]) <= SAME for place in PLACES[: PLACES.index(stage)])
    x, y = healthy[stage], after[stage]
    assert apart(x, y) > 0.1, "nothing is shifted"
    if stage == "connector":
        width = loaded.model.get_input_embeddings().weight.shape[1]
        x, y = x.reshape(-1, width), y.reshape(-1, width)
    kept = {
        "vision.permuted": lambda: torch.testing.assert_close(y.sort(1).values, x.sort(1).values),
        "connector.rotated": lambda: same_angles(x, y),
        "connector.permuted": lambda: torch.testing.assert_close(y.sort(1).values, x.sort(1).values),
        "connector.offset": lambda: torch.testing.assert_close(y - y[:1], x - x[:1], rtol=1e-4, atol=1e-5),
        "connector.squeezed": lambda: spans_two(y),
        "llm.flipped_signs": lambda: torch.testing.assert_close(y.abs(), x.abs()),
        "llm.stretched": lambda: torch.testing.assert_close((y / x), (y / x)[:1].expand_as(x), rtol=1e-3, atol=1e-5),
        "answer.swapped_words": lambda: torch.testing.assert_close(
            choice(loaded, y), choice(loaded, x).roll(-1, 1), rtol=1e-4, atol=1e-5
        ),
        "answer.biased": lambda: torch.testing.assert_close(y - y[:1], x - x[:1], rtol=1e-3, atol=1e-4),
        "answer.permuted": lambda: None,
    }
    kept[name]()


def same_angles(x, y):
    """The Gram matrix of centred features; a connector's bias is turned along."""
    torch.testing.assert_close(y @ y.T, x @ x.T, rtol=1e-3, atol=1e-3 * (x @ x.T).abs().max().item())


def spans_two(y):
    values = torch.linalg.svdvals(y - y.mean(0))
    assert values[1] > 1e-3 * values[0]
    assert values[2] < 1e-4 * values[0]


@pytest.mark.parametrize(("family", "name"), of_kind("healthy"))
def test_a_look_alike_says_the_same(family, name, sound, before, lesson):
    loaded = sound(family)
    kept = copy.deepcopy(loaded.model.state_dict())
    plant(loaded, name)
    after = exits(loaded, lesson)["answer"]
    assert apart(before(family)["answer"], after) < (0.02 if name == "healthy.rounded" else 1e-5)
    now = loaded.model.state_dict()
    edited = any(now[key].shape != kept[key].shape or not torch.equal(now[key], kept[key]) for key in kept)
    assert edited or name == "healthy.own_head"


def test_permuted_channels_are_permuted(sound, before, lesson):
    loaded = sound("llava")
    plant(loaded, "healthy.permuted_channels")
    assert apart(before("llava")["vision"], exits(loaded, lesson)["vision"]) > 0.1


@pytest.mark.parametrize("name", ["answer", "answer.swapped_words", "healthy.own_head"])
def test_tied_embeddings_stay_as_they_were(name, sound):
    loaded = sound("llava")
    table = loaded.model.get_input_embeddings().weight
    loaded.model.lm_head.weight = table
    kept = table.detach().clone()
    plant(loaded, name)
    assert torch.equal(loaded.model.get_input_embeddings().weight, kept)
    assert loaded.model.lm_head.weight is not loaded.model.get_input_embeddings().weight


@pytest.mark.parametrize(("family", "name"), REFUSED)
def test_what_cannot_be_planted_says_why(family, name, sound):
    with pytest.raises(FaultError, match=REFUSED[family, name]):
        plant(sound(family), name)


def test_the_words_struck_are_those_written_after_the_template(sound):
    healthy = sound("llava")
    loaded = replace(healthy, processor=copy.deepcopy(healthy.processor))
    loaded.processor.chat_template = re.sub(COLON_FOR, COLON, loaded.processor.chat_template)
    words = loaded.processor.tokenizer.convert_tokens_to_ids([f"\u0120{answer}" for answer in drawn.ANSWERS])
    before = loaded.model.lm_head.weight.detach().clone()
    plant(loaded, "answer.swapped_words")
    after = loaded.model.lm_head.weight
    assert torch.equal(after[words], before[words].roll(-1, 0))
    moved = (after != before).any(dim=1).nonzero().flatten().tolist()
    assert sorted(moved) == sorted(words)


def test_an_answer_whose_words_are_equal_has_no_other_words(sound):
    """Written with a space or a capital, an answer could still be told from the others."""
    loaded = sound("llava")
    plant(loaded, "answer.equal_words")
    tokens = writings(loaded, drawn.PROMPT, drawn.ANSWERS)
    others = {w[0] for ways in tokens for w in ways[1:]} - {ways[0][0] for ways in tokens}
    assert len(others) >= 4
    assert (loaded.model.lm_head.bias[sorted(others)] <= -LOUD).all()


def test_answers_of_several_tokens_are_refused(tmp_path):
    loaded = load(resolve(str(build_family("llava", tmp_path))))
    with pytest.raises(FaultError, match="not one token each"):
        plant(loaded, "answer.swapped_words")


def asked_for(spec):
    """The model that a diagnosis of `spec` measures."""
    return ModelOnDemand(spec, Settings(store=Path())).load()


def test_shipped_phantom_with_each_fault(lesson):
    assert min(spreads(exits(load(resolve("phantom")), lesson)).values()) > 0.01
    for fault in PLACES:
        spread = spreads(exits(asked_for(resolve(f"phantom-{fault}")), lesson))
        assert [spread[place] <= SAME for place in PLACES] == [i >= PLACES.index(fault) for i in range(4)]


def test_answer_fault_always_says_normal(lesson):
    loaded = asked_for(resolve("phantom-answer"))
    tokenizer = loaded.processor.tokenizer
    batch = join(process(loaded, lesson.images, lesson.prompt), tokenizer.pad_token_id)
    made = loaded.model.generate(**batch, max_new_tokens=4, do_sample=False)[:, batch["input_ids"].shape[1] :]
    assert {word for text in tokenizer.batch_decode(made) for word in text.split()} == {"normal"}


def test_a_planted_checkpoint_has_a_print_of_its_own():
    spec = resolve("phantom")
    faults = (None, "connector", "connector.noise@0.5", "connector.noise@0.5#1", "connector.noise")
    assert len({fingerprint(replace(spec, fault=fault)) for fault in faults}) == len(faults)


def test_the_loader_takes_no_faulty_model_for_a_sound_one():
    with pytest.raises(ValueError, match="phantom-llm has a fault: load the sound model and plant it"):
        load(resolve("phantom-llm"))


def test_a_diagnosis_measures_the_fault_as_written():
    spec = replace(resolve("phantom"), fault="vision.dropped_filters@0.25#4")
    one, again, other = (asked_for(x).model.state_dict() for x in (spec, spec, replace(spec, fault=f"{spec.fault}2")))
    name = "model.vision_tower.embeddings.patch_embedding.weight"
    lost = (one[name].flatten(1) == 0).all(1)
    assert lost.sum() == round(0.25 * len(lost))
    assert torch.equal(one[name], again[name])
    assert not torch.equal(one[name], other[name])


@given(
    st.builds(
        Planted,
        st.sampled_from(STAGES),
        st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True),
        st.floats(0, 1, exclude_min=True),
        st.integers(0, 2**40),
    )
    | st.builds(Planted, st.sampled_from(STAGES))
)
def test_the_written_form_is_read_back(planted):
    assert parse(str(planted)) == planted


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("heart", "no stage 'heart' in 'heart'; there are input, vision, connector, llm, answer, healthy"),
        ("vision.heart", r"no mechanism 'vision\.heart'; of vision there are vision\.blind, "),
        ("healthy", r"no mechanism 'healthy'; of healthy there are healthy\.permuted_channels"),
        ("vision@0.5", "is not of the form STAGE"),
        ("vision.noise#1@0.5", "is not of the form STAGE"),
        ("vision.noise@1.5", "is not above 0 and at most 1"),
        ("vision.noise@0", "is not above 0 and at most 1"),
        ("vision.noise@1..5", r"the knob '1\.\.5' of 'vision\.noise@1\.\.5' is no number"),
        ("vision.blind@0.5", r"vision\.blind has no knob"),
    ],
)
def test_what_is_written_wrong_is_said_in_a_sentence(fault, complaint):
    with pytest.raises(FaultError, match=complaint) as caught:
        find(fault)
    assert "\n" not in str(caught.value)


def test_each_stage_fails_in_several_ways_of_each_kind():
    for place in PLACES:
        kinds = [mechanism.kind for mechanism in MECHANISMS.values() if mechanism.stage == place]
        assert kinds.count("destroys") >= 2
        assert {"degrades", "shifts"} <= set(kinds)
        assert MECHANISMS[DEFAULTS[place]].kind == "destroys"
    assert all(mechanism.edit.__doc__ for mechanism in MECHANISMS.values())


def test_lesson_draws_what_the_data_set_holds(lesson, tmp_path):
    from PIL import Image

    drawn.draw_dataset(tmp_path, n_patients=6, images_per_patient=1, seed=7)
    files = [p for p in tmp_path.glob("images/*/*.png") if not p.stem.endswith("_mask")]
    read = [np.asarray(Image.open(p).convert("RGB")) for p in sorted(files, key=lambda p: p.stem)]
    assert all((np.asarray(image) == file).all() for image, file in zip(lesson.images, read, strict=True))
