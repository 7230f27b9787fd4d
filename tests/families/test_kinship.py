"""Which modules of two checkpoints have a common ancestor, and that nothing is named where they have none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from medprobe.diagnostics.records.chain import STAGES, Stage
from medprobe.fixtures.models.load_options import LoadOptions
from tests.conftest import SMALL


def opened(source: str, fault: str | None = None) -> Any:
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.registry import resolve
    from medprobe.fixtures.phantoms.faults import plant

    loaded = load(resolve(source), LoadOptions(dtype="float32"))
    if fault is not None:
        plant(loaded, fault)
    return loaded


@pytest.mark.parametrize("name", ["llava", "gemma3", "qwen2_vl"])
def test_modules_of_another_seed_are_strangers(name: str, tmp_path: Path) -> None:
    from medprobe.diagnostics.causes.kinship import strangers
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    one, other = (opened(str(build_family(name, tmp_path / str(seed), seed=seed, **SMALL))) for seed in (1, 2))
    assert strangers(one, other) == list(STAGES)
    assert strangers(one, one) == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("vision.permuted", ["vision"]),
        ("answer.permuted", ["answer"]),
        ("llm.flipped_signs", []),
        ("llm.merged_adapter@0.5", []),
        ("vision.merged_adapter@0.5", []),
        ("connector.muted", []),
    ],
)
def test_a_fault_estranges_no_module_but_its_own(fault: str, found: list[Stage]) -> None:
    from medprobe.diagnostics.causes.kinship import strangers

    assert strangers(opened("phantom", fault), opened("phantom")) == found


@dataclass(frozen=True)
class Named:
    module: str | None
    certain: bool = True
    reason: str = "its effect exceeds that of every other place"


@pytest.mark.parametrize(
    ("module", "apart", "named"),
    [
        ("llm", [], "llm"),
        ("llm", ["llm", "answer"], "llm"),
        ("llm", ["vision", "connector", "llm", "answer"], None),
        ("llm", ["vision", "connector"], "llm"),
        ("answer", ["vision", "connector", "llm"], None),
        ("input", ["vision", "connector", "llm", "answer"], "input"),
        (None, ["vision", "connector", "llm", "answer"], None),
    ],
)
def test_among_strangers_no_module_is_named(module: str | None, apart: list[str], named: str | None) -> None:
    from medprobe.diagnostics.causes.cause import _Search

    swapper = SimpleNamespace(strangers=lambda: apart)
    search = _Search(evidence=None, swapper=swapper, comparison=None, theirs={})  # type: ignore[arg-type]
    found = search._among_kin(Named(module))  # type: ignore[arg-type]
    assert found.module == named
    if module != named:
        assert not found.certain
        assert "were trained apart" in found.reason
