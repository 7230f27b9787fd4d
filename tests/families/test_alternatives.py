"""The inputs a family knows: those that are not set are asked, and each can be asked or says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from medprobe.fixtures.models.load_options import LoadOptions
from tests.conftest import SMALL

PROMPT = "Does this scan show a lesion? Answer normal, benign or malignant."
ANSWERS = ("normal", "benign", "malignant")


@pytest.fixture(scope="module", params=["llava_clip", "gemma3", "qwen2_5_vl", "internvl"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    folder = build_family(request.param, tmp_path_factory.mktemp("alternatives") / request.param, seed=1, **SMALL)
    return load(resolve(str(folder)), LoadOptions(dtype="float32"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two coloured pictures that are not square."""
    from medprobe.fixtures.datasets.image_file import ImageFile

    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    found = []
    for i in range(2):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (40, 56, 3), dtype=np.uint8)).save(path)
        found.append(ImageFile(str(i), path, None, 0, i, digest=str(i)))
    return found


def test_every_alternative_reaches_the_model_otherwise_and_gives_numbers(loaded, images):
    from medprobe.diagnostics.counterfactuals.alternatives import alternatives
    from medprobe.diagnostics.counterfactuals.answers import Asker, CannotAsk
    from medprobe.diagnostics.extraction.batches import Limit

    asker = Asker(loaded, PROMPT, ANSWERS, Limit(8))
    own, refused = asker.seen(images), []
    found = alternatives(loaded)
    assert len({one.name for one in found}) == len(found) > 12
    for one in found:
        try:
            assert (asker.seen(images, one) == own) == (one.name in _idle(loaded)), one.name
            assert asker.scores(images, one).shape == (2, 3)
        except CannotAsk:
            refused.append(one.name)
    assert set(refused) <= _refused(loaded)
    assert asker.passes == 2 * (len(found) - len(refused))
    # Nothing of it stays in the model.
    assert asker.seen(images) == own
    assert alternatives(loaded) == found


def _refused(loaded: Any) -> set[str]:
    """What a family cannot be asked under: Gemma 3's processor crops nothing, InternVL's shuffle needs a lattice."""
    return {
        "gemma3": {"the shorter side resized to 32 and the centre cropped"},
        "internvl": {"vision_feature_select_strategy full"},
    }.get(loaded.model.config.model_type, set())


def _idle(loaded: Any) -> set[str]:
    """What changes nothing here: a processor that tiles whatever its settings say."""
    return {"crop_to_patches false"} if loaded.model.config.model_type == "internvl" else set()


def test_what_is_set_is_not_among_them(loaded):
    from medprobe.diagnostics.counterfactuals.alternatives import alternatives
    from medprobe.fixtures.models.input_settings import altered

    for one in alternatives(loaded):
        if one.picture is None and "chat_template" not in one.changes:
            names = [other.name for other in alternatives(altered(loaded, one.changes))]
            assert one.name not in names


def test_an_end_that_the_configuration_has_and_decoding_lacks_is_put_back(loaded):
    from medprobe.diagnostics.counterfactuals.alternatives import alternatives
    from medprobe.fixtures.models.input_settings import altered

    path = "generation_config.eos_token_id"
    for kept, told in (({path: None}, True), ({path: 7, "generation_config.no_repeat_ngram_size": 2}, False)):
        model = altered(loaded, {"config.text_config.eos_token_id": 3} | kept)
        (greedy,) = [one for one in alternatives(model) if one.name == "plain greedy decoding"]
        assert greedy.restores is told
        assert greedy.changes.get(path) == (3 if told else None)
        assert [one.name for one in alternatives(model) if one.restores] == ["plain greedy decoding"] * told


def test_fewer_pixels_are_raised_fourfold_where_the_processor_counts_them(loaded):
    from medprobe.diagnostics.counterfactuals.alternatives import alternatives
    from medprobe.fixtures.models.input_settings import altered, settings

    path = "image_processor.size.longest_edge"
    counts = f"{path.split('.')[0]}.merge_size" in settings(loaded) and path in settings(loaded)
    fewer = altered(loaded, {path: 1024}) if counts else loaded
    found = [one.changes for one in alternatives(fewer) if one.name == "up to 4096 pixels a picture"]
    assert found == [{path: 4096}] * counts


def test_a_turn_is_written_back_as_it_was(loaded):
    from medprobe.diagnostics.counterfactuals.turns import literal, turns
    from medprobe.fixtures.models.chat import turn
    from medprobe.fixtures.models.conventions import QUESTION
    from medprobe.fixtures.models.input_settings import altered

    made = altered(loaded, {"chat_template": literal(turn(loaded, QUESTION))})
    assert turn(made, 'Is "this"\nnormal?') == turn(loaded, 'Is "this"\nnormal?')
    found = dict(turns(loaded))
    without = turn(altered(loaded, {"chat_template": found["no generation prompt"]}), PROMPT)
    assert turn(loaded, PROMPT).startswith(without)
    moved = turn(altered(loaded, {"chat_template": found["the image after the text"]}), PROMPT)
    assert sorted(moved) == sorted(turn(loaded, PROMPT))
    assert moved.index(PROMPT) < turn(loaded, PROMPT).index(PROMPT)


def test_a_system_line_of_the_template_can_be_left_out(loaded):
    from medprobe.diagnostics.counterfactuals.turns import turns
    from medprobe.fixtures.models.chat import turn
    from medprobe.fixtures.models.input_settings import altered, settings

    template = settings(loaded)["chat_template"]
    opening = "<start_of_turn>" if "<start_of_turn>" in template else "<|im_start|>"
    line = f"{opening}system\nBe brief.<|im_end|>\n"
    bos = "{{ bos_token }}"
    body = template.removeprefix(bos)
    changed = (bos if body != template else "") + "{{ " + repr(line) + " }}" + body
    made = altered(loaded, {"chat_template": changed})
    assert line in turn(made, PROMPT)
    found = dict(turns(made))
    assert turn(altered(made, {"chat_template": found["nothing before the user's turn"]}), PROMPT) == turn(
        loaded, PROMPT
    )


def test_a_template_without_generation_prompt_is_given_one(loaded):
    from medprobe.diagnostics.counterfactuals.turns import turns
    from medprobe.fixtures.models.chat import turn
    from medprobe.fixtures.models.input_settings import altered, settings

    template = settings(loaded)["chat_template"].replace("if add_generation_prompt", "if false")
    made = altered(loaded, {"chat_template": template})
    assert turn(made, PROMPT) != turn(loaded, PROMPT)
    written = {turn(altered(made, {"chat_template": other}), PROMPT) for _, other in turns(made)}
    assert turn(loaded, PROMPT) in written


def test_pictures_are_changed_as_they_say():
    from medprobe.fixtures.datasets.lesions.alterations import ChannelsSwapped, Cropped, Inverted, Padded

    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 255, (40, 56, 3), dtype=np.uint8))
    values = np.asarray(picture)
    np.testing.assert_array_equal(np.asarray(Inverted().apply(picture)), 255 - values)
    np.testing.assert_array_equal(np.asarray(ChannelsSwapped().apply(picture)), values[..., ::-1])
    padded = np.asarray(Padded().apply(picture))
    np.testing.assert_array_equal(padded[8:48], values)
    assert padded.shape == (56, 56, 3)
    assert not padded[:8].any()
    np.testing.assert_array_equal(np.asarray(Cropped().apply(picture)), values[:, 8:48])
    assert len({one.words for one in (Inverted(), ChannelsSwapped(), Padded(), Cropped())}) == 4
