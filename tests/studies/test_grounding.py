"""The committed study: a planted shortcut is named on all images, and nothing else is."""

from __future__ import annotations

from benchmarks import grounding

ROWS = grounding.STUDY.found()["rows"]


def of(model: str, images: str) -> list[dict]:
    return [row for row in ROWS if (row["model"], row["images"], row["fault"]) == (model, images, None)]


def test_every_case_was_run_on_every_seed() -> None:
    cases = {(row["model"], row["images"], row["fault"], row["seed"]) for row in ROWS}
    assert cases == {(*case, seed) for case in grounding.CASES for seed in grounding.IMAGE_SEEDS}


def test_the_planted_shortcut_is_named_and_no_other() -> None:
    for row in ROWS:
        planted = (row["model"], row["images"], row["fault"]) == grounding.SHORTCUT
        assert (row["shortcut"] is True) == planted, row


def test_the_phantom_needs_the_lesion_and_nothing_elsewhere() -> None:
    for row in of("phantom", "plain"):
        answer = row["pixels"]["places"]["answer"]
        assert row["depends_on_lesion"]
        assert answer["specific"]["ci"][1] < -0.5
        assert answer["by_elsewhere"]["ci"][1] > -0.05


def test_a_model_without_signal_is_not_judged() -> None:
    for row in ROWS:
        if row["fault"] is not None or (row["model"], row["images"]) == ("shortcut", "plain"):
            assert row["shortcut"] is None
