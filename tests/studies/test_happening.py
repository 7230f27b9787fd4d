"""A slice of the study of faults as they happen, its design, and the arithmetic of its figures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks import happening
from benchmarks.happening import BUILDING, COSTLY, Cell, Places, cost_lines, design, in_building, mechanism, summary

BASES = ("gemma3-1", "llava-1", "internvl-1", "internvl-2", "llava-2", "qwen2_5_vl-1", "chest-llava")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    return Places(Path("nowhere"), tmp_path_factory.mktemp("happening"), None, None)


@pytest.fixture(scope="module")
def rows(places: Places) -> dict[str | None, dict[str, Any]]:
    """Cells of each kind on the embedded phantom, with half of the images."""
    asked = [("healthy", None), ("harmless", "healthy.unused_setting"), ("input", "input.not_rescaled")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(happening, "N_PATIENTS", 30)
        return {fault: happening.run(Cell("phantom", kind, fault), places) for kind, fault in asked}


@pytest.mark.slow
def test_a_fault_of_the_input_costs_what_is_said(rows: dict[str | None, dict[str, Any]]) -> None:
    assert [row[how]["error"] for row in rows.values() for how in ("alone", "against")] == [None] * 6
    healthy = happening.healthy_signals(list(rows.values()))
    assert happening.cost(rows["input.not_rescaled"], healthy) > COSTLY
    assert happening.cost(rows["healthy.unused_setting"], healthy) == 0
    assert rows[None]["against"]["module"] is rows["healthy.unused_setting"]["against"]["module"] is None


@pytest.mark.slow
def test_the_page_is_made_of_rows(rows: dict[str | None, dict[str, Any]]) -> None:
    costs = [{"base": "phantom", "fault": None, "kind": "healthy", "said": 0.9, "likeliest": 0.9}]
    text = happening.page({"runs": list(rows.values()), "costs": costs})
    assert "| input.not_rescaled | 1 |" in text
    assert "| healthy | 90 / 90 |" in text


def test_costs_are_measured_without_a_diagnosis(places: Places) -> None:
    faults = [("healthy", ""), ("input", "input.inverted_greys"), ("input", "input.merge_order")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(happening, "N_PATIENTS", 30)
        sound, inverted, refused = happening.cost_rows("phantom", faults, places)
    assert sound["said"] - inverted["said"] > COSTLY
    assert "merges no blocks" in refused["cannot"]


def measured(bases: tuple[str, ...]) -> list[dict[str, Any]]:
    faults = [("healthy", None), *happening.every_fault()]
    found = [
        {"base": base, "kind": kind, "fault": fault, "said": 0.9 if kind in ("healthy", "harmless") else 0.1}
        for base in bases
        for kind, fault in faults
    ]
    found[5] = {key: value for key, value in found[5].items() if key != "said"} | {"cannot": "no such setting"}
    return found


def test_the_design_keeps_building_and_held_out_apart() -> None:
    costs = measured(BASES)
    cells = design(BASES, costs)
    assert len(set(cells)) == len(cells)
    assert {in_building(cell) for cell in cells} == {True, False}
    planted = {mechanism(cell.fault) for cell in cells if cell.fault}
    assert planted == {mechanism(fault) for _, fault in happening.every_fault()}
    held = [cell for cell in cells if in_building(cell) is False]
    assert not {mechanism(cell.fault) for cell in held if cell.fault} & BUILDING
    assert not {cell.base for cell in held} & set(happening.BUILDING_BASES)
    per_base = [sum(cell.base == base for cell in held) for base in BASES[2:]]
    assert max(per_base) <= 2 * min(per_base)
    assert not any(cell.base == costs[5]["base"] and cell.fault == costs[5]["fault"] for cell in cells)


def test_a_fault_that_costs_little_is_not_diagnosed() -> None:
    costs = [row | {"said": 0.8} if row["kind"] != "healthy" and "said" in row else row for row in measured(BASES)]
    assert {cell.kind for cell in design(BASES, costs)} == {"healthy", "harmless"}


def test_at_least_half_of_the_mechanisms_are_held_out() -> None:
    names = {mechanism(fault) for _, fault in happening.every_fault()}
    assert names >= BUILDING
    assert 2 * len(BUILDING) <= len(names)
    assert set(happening.KNOBS) <= names


def row(base: str, kind: str, fault: str | None, said: float, against: str | None, **more: Any) -> dict[str, Any]:
    told = {
        "error": None,
        "verdict": "pass",
        "said": said,
        "likeliest": said,
        "module": None,
        "certain": False,
        "reason": "why",
        "difference": None,
        "counterfactual": None,
        "advice": None,
        "seconds": 1.0,
    }
    return asdict(Cell(base, kind, fault)) | {"alone": told | more, "against": told | {"module": against}}


def test_figures_count_what_they_say() -> None:
    found = summary(
        [
            row("llava-2", "healthy", None, 0.9, None),
            row("llava-2", "input", "input.dark", 0.1, "input", counterfactual="gamma", advice="Calibrate the options"),
            row("llava-2", "input", "input.turned", 0.2, "answer", certain=True, module="answer"),
            row("llava-2", "input", "input.coarse", 0.85, None),
            row("llava-2", "input", "input.windowed", 0.1, "input"),
            row("llava-2", "input", "input.lost_end", 0.1, "input", counterfactual="plain greedy decoding"),
            row("llava-2", "forgets", "answer.forgotten", 0.1, "answer"),
            row("llava-2", "harmless", "healthy.rescaled", 0.9, "llm", verdict="fail"),
            row("llava-1", "healthy", None, 0.9, None),
        ]
    )
    held = [figure["held out"] for figure in found]
    right, other, none, sound, named, settings, mendable, falsely, elsewhere, accused, wrong, agree, failed, errors = (
        held
    )
    assert right == [4, 5]
    assert other == [1, 5]
    assert none == [0, 5]
    assert sound == [1, 2]
    assert named == [2, 4]
    assert settings == [1, 1]
    assert mendable == [2, 3]
    assert falsely == [0, 2]
    assert elsewhere == [0, 1]
    assert accused == [1, 4]
    assert wrong == [1, 4]
    assert agree == [1, 1]
    assert failed == [1, 2]
    assert errors == [0, 8]
    assert found[-1]["building"] == [0, 1]


def test_costs_are_told_in_points() -> None:
    costs: list[dict[str, Any]] = [
        {"base": "a", "fault": None, "said": 0.9, "likeliest": 0.8},
        {"base": "a", "fault": "input.dark", "said": 0.4, "likeliest": 0.7},
        {"base": "a", "fault": "input.turned", "cannot": "no"},
        {"base": "a", "fault": "input.aspect", "error": "no"},
    ]
    assert list(cost_lines(costs)) == [
        "| healthy | 90 / 80 |",
        "| input.dark | 50 / 10 |",
        "| input.turned | - |",
        "| input.aspect | error |",
    ]
