"""Published numbers are those of the classes that carry them, and differences are said."""

from __future__ import annotations

import pytest

from medprobe.diagnostics.counterfactuals.pixels import DEVIATION, MEAN, cautions, differing
from medprobe.diagnostics.records.cause import Pixels
from medprobe.fixtures.models.conventions import by_tower, picture_size, published
from medprobe.fixtures.models.registry import registry, resolve


def test_numbers_marked_as_a_classs_are_its_own():
    import transformers

    compared = 0
    for tower, numbers in by_tower().items():
        kind, _, rest = numbers["source"].partition(": ")
        for name in rest.partition(";")[0].split(", ") if kind == "class" else ():
            own = getattr(transformers, name)()
            for key in ("image_mean", "image_std", "rescale_factor"):
                assert getattr(own, key) == pytest.approx(numbers[key]), (tower, name, key)
            compared += 1
    assert compared >= 8


def test_a_tuned_model_has_the_picture_size_of_its_base():
    assert picture_size(resolve("medgemma")) == {"height": 896, "width": 896}
    assert picture_size(resolve("lingshu-7b")) == registry()["qwen2.5-vl-7b"].picture
    assert picture_size(resolve("hulu-med-7b")) is None
    assert published("gemma3", "siglip_vision_model", resolve("medgemma"))["size"] == {"height": 896, "width": 896}


def test_what_is_not_known_is_not_compared():
    assert published("qwen3_5", "qwen3_5_vision") == {}
    assert published("llava_onevision", "siglip_vision_model") == {}
    assert published("mystery", "mystery_vision") == {}
    assert differing({"image_mean": [9.0] * 3, "do_normalize": False}, {}) == []


def test_differences_are_listed_with_both_values_and_said():
    known = published("gemma3", "siglip_vision_model", resolve("medgemma"))
    sound = {
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_rescale": True,
        "size": {"height": 896, "width": 896},
    }
    assert differing(sound, known) == []
    wrong = sound | {
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "do_rescale": False,
        "size": {"height": 448, "width": 448},
    }
    found = differing(wrong, known)
    assert [key.path.partition(".")[2] for key in found] == ["image_mean", "size", "do_rescale"]
    assert cautions(Pixels(n_images=32, mean=0, deviation=0.5, differs=found)) == [
        "image_processor.image_mean is [0.4815, 0.4578, 0.4082], and published models with this tower have 0.5",
        "image_processor.size is 448 x 448, and published models with this tower have 896 x 896",
        "image_processor.do_rescale is false, and published models with this tower have true",
    ]


def test_the_cap_of_loading_is_no_difference():
    known = published("qwen2_5_vl", "qwen2_5_vl_vision", resolve("lingshu-7b"))
    assert differing({"size": {"shortest_edge": 3136, "longest_edge": 1_003_520}}, known) == []
    assert differing({"size": {"shortest_edge": 3136, "longest_edge": 50_176}}, known) != []


@pytest.mark.parametrize(
    ("mean", "deviation", "said"),
    [
        (0.1, 0.5, ""),
        (240.0, 60.0, "a mean of 240.00 where published processors give -1.3 to 1.3 and a deviation of 60.00"),
        (-0.99, 0.001, "a deviation of 0.00 where"),
    ],
)
def test_values_far_from_what_published_processors_give_are_a_caution(mean, deviation, said):
    found = cautions(Pixels(n_images=32, mean=mean, deviation=deviation))
    assert bool(found) == bool(said)
    assert all(said in one for one in found)
    assert MEAN[0] < -0.64
    assert MEAN[1] > 0.66
    assert DEVIATION[0] < 0.15
    assert DEVIATION[1] > 1.49
