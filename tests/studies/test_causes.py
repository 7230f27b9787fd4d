"""The cause matrix: which pairs it makes, and its tables, from rows made by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.causes import SAYS, Pair, page, pairs, rate


def row(kind: str, planted: str | None, named: str, low: float, **more: Any) -> dict[str, Any]:
    pair = Pair(kind, "llava-1", planted, "llava-1", None)
    found = {"named": named, "reason": "why: what", "difference_ci": [low, 0.9], "probes": None, "error": None}
    return {**asdict(pair), "module": pair.module, **found, **more}


def test_a_few_rows_show_every_kind():
    made = list(pairs(["gemma3-1", "llava-1", "llava-2"]))
    assert {pair.kind for pair in made[: len(SAYS)]} == set(SAYS)
    assert len(set(made)) == len(made)
    assert {(p.base, p.against_base) for p in made if p.kind == "other seed"} == {
        ("llava-1", "llava-2"),
        ("llava-2", "llava-1"),
    }
    assert {p.module for p in made if p.kind == "no fault"} == {"none"}
    assert {p.module for p in made if p.kind == "shifted"} == {"vision", "connector", "llm", "answer"}


def test_the_table_counts_what_could_be_named_and_what_was_named_wrongly():
    rows = [
        row("shifted", "connector.rotated", "connector", 0.3, probes="semantic_mapping_misalignment"),
        row("shifted", "connector.rotated", "llm", 0.3, probes="connector_fidelity_loss"),
        row("shifted", "llm.stretched", "none", -0.1),
        row("shifted", "llm.stretched", "none", 0.2),
        row("no fault", None, "none", -0.1),
        {**asdict(Pair("shifted", "llava-1", "llm.stretched", "llava-1", None)), "cannot": "it has no such layer"},
        row("shifted", "llm.stretched", "none", 0.0, error="the disk is full", difference_ci=None),
    ]
    text = page({"n_images": 120, "runs": rows})
    half, third = rate(1, 3), rate(1, 4)
    assert f"| shifted | 4 | 3 | {half} | {half} | {third} |" in text
    assert f"| no fault | 1 | 0 | nothing to name | nothing to name | {rate(0, 1)} |" in text
    assert "| connector | 0 | 0 | 1 | 1 | 0 | 0 |" in text
    assert "| llm | 0 | 0 | 0 | 0 | 0 | 2 |" in text
    assert "5 pairs of checkpoints from 1 trained bases" in text
    assert "1 further faults cannot be planted in their base, and 1 diagnoses ended in an error" in text


def test_a_rate_says_hits_and_interval():
    assert rate(17, 20) == "17 of 20, 0.85 (0.64 to 0.95)"
    # 59 clean runs are needed to say "under 5 percent" one-sided; Wilson's two-sided bound needs 73.
    assert rate(0, 73).endswith("to 0.05)")
    assert rate(0, 0) == "nothing to name"


def test_a_fault_may_be_written_with_knob_and_seed():
    assert Pair("shifted", "b", "llm.stretched@0.5#3", "b", None).module == "llm"


@pytest.mark.parametrize("edit", ["healthy.own_head", None])
def test_no_fault_means_no_module(edit):
    assert Pair("no fault", "b", edit, "b", None).module == "none"
