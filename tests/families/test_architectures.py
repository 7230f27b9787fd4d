"""Full-size architectures are discovered without weights, and have the sizes that arithmetic and publications give."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from medprobe.fixtures.models.registry import Published, registry

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
    from medprobe.fixtures.models.size.shapes import architectures

    assert list(architectures()) == NAMES
    assert sorted(alias for sizes in architectures().values() for alias in sizes["of"]) == sorted(registry())


@pytest.fixture(scope="module", params=NAMES)
def sizes(request: pytest.FixtureRequest) -> dict[str, Any]:
    from medprobe.fixtures.models.size.shapes import architectures

    return architectures()[request.param]


@pytest.fixture(scope="module")
def model(sizes: dict[str, Any]) -> Any:
    from medprobe.fixtures.models.size.meta import build, config_of

    return build(config_of(sizes))


def test_discovery_finds_the_parts(sizes: dict[str, Any], model: Any) -> None:
    from benchmarks.architectures import measure

    found, anatomy = measure(model)
    assert len(anatomy.deepstack) == len(sizes["vision_config"].get("deepstack_visual_indexes", []))
    assert all(registry()[alias].facts == found for alias in sizes["of"])


def test_the_formula_counts_what_is_built_and_planned(sizes: dict[str, Any], model: Any) -> None:
    from benchmarks.architectures import built_parameters
    from medprobe.fixtures.models.size.meta import shape_of
    from tests.unit.fixtures.models.size import counting

    shape, family, text = shape_of(model), sizes["model_type"], sizes["text_config"]
    vision = {"model_type": family, **sizes["vision_config"]}
    embeddings = text["vocab_size"] * text["hidden_size"] * (1 if sizes.get("tie_word_embeddings") else 2)
    assert counting.parameters(sizes) == built_parameters(model) == shape.parameters
    assert shape.tower_parameters == counting.TOWERS[vision["model_type"]](vision)
    assert shape.connector_parameters == counting.CONNECTORS[family](vision, text)
    assert shape.embedding_parameters == embeddings


def test_the_formula_agrees_with_what_is_published_and_listed(sizes: dict[str, Any]) -> None:
    from tests.unit.fixtures.models.size import counting

    count = counting.parameters(sizes)
    for alias in sizes["of"]:
        entry = registry()[alias]
        assert entry.published is None or entry.published.agrees_with(count), alias
        assert entry.size == f"{count / 1e9:.1f}B"


def test_the_page_is_the_table() -> None:
    from benchmarks.architectures import STUDY, page

    assert STUDY.page.read_text("utf-8") == page()


@pytest.mark.parametrize(
    ("figure", "lowest", "highest"),
    [("2.21B", "2.205", "2.215"), ("33B", "32.5", "33.5"), ("2,208,985,600", "2.2089856", "2.2089856")],
)
def test_a_published_figure_is_as_exact_as_it_is_written(figure: str, lowest: str, highest: str) -> None:
    published = Published(parameters=figure, source="paper")
    first, last = (int(Fraction(bound) * 10**9) for bound in (lowest, highest))
    assert published.agrees_with(first + 1) is (first != last)
    assert published.agrees_with(last - 1) is (first != last)
    assert published.agrees_with((first + last) // 2)
    assert not published.agrees_with(first - 1)
    assert not published.agrees_with(last + 1)
