"""Full-size architectures are discovered without weights, and have the published sizes."""

import pytest

from fixtures.models.registry import registry

NAMES = [
    "qwen2-vl-2b",
    "qwen2.5-vl-3b",
    "qwen2.5-vl-7b",
    "qwen2.5-vl-32b",
    "huatuogpt-vision-34b",
    "llava-med",
    "llava-1.6-mistral-7b",
    "llava-1.5-7b",
    "hulu-med-4b",
    "hulu-med-7b",
    "hulu-med-14b",
    "hulu-med-32b",
    "gemma-3-4b",
    "gemma-3-27b",
    "internvl3-8b",
    "qwen3-vl-2b",
    "qwen3-vl-4b",
    "qwen3-vl-8b",
]


def test_every_registered_model_has_an_architecture() -> None:
    from fixtures.models.architectures import architectures

    assert list(architectures()) == NAMES
    assert sorted(alias for sizes in architectures().values() for alias in sizes["of"]) == sorted(registry())


@pytest.mark.parametrize("name", NAMES)
def test_the_sizes_are_the_published_ones(name: str) -> None:
    from fixtures.models.architectures import architectures, build, measure

    sizes = architectures()[name]
    found, anatomy = measure(build(sizes))
    assert len(anatomy.deepstack) == len(sizes["vision_config"].get("deepstack_visual_indexes", []))
    for alias in sizes["of"]:
        facts = registry()[alias].facts
        if facts is None:
            continue
        assert found.model_copy(update={"parameters": None}) == facts.model_copy(update={"parameters": None})
        if facts.parameters is not None:
            assert found.parameters == pytest.approx(facts.parameters, abs=0.011)
