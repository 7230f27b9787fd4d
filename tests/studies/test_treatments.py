"""The committed matrix of faults and remedies: what is shifted comes back, what is destroyed does not."""

from __future__ import annotations

import pytest

from benchmarks import treatments

ROWS = treatments.STUDY.found()["rows"]
TRIED = [row for row in ROWS if "cannot" not in row]


def test_every_fault_was_tried_on_every_model() -> None:
    assert {(row["base"], row["fault"]) for row in ROWS} == {
        (base, fault) for base in treatments.BASES for _, fault in treatments.FAULTS
    }


@pytest.mark.parametrize("fault", ["connector.rotated", "connector.permuted", "answer.swapped_words"])
def test_shifted_connectors_and_swapped_words_are_largely_recovered(fault: str) -> None:
    for row in (row for row in TRIED if row["fault"] == fault):
        helping = [trial["change"] for trial in row["trials"].values() if trial["helps"]]
        assert max(helping) > 0.8 * row["lost"], row["base"]


def test_what_was_destroyed_does_not_come_back() -> None:
    claims = {
        (row["fault"], name)
        for row in TRIED
        for name in treatments.counted_as_destroyed(row)
        if row["trials"][name]["helps"]
    }
    # The likelihoods of equal words share a level, and that level still depends on the image.
    assert claims <= {("answer.equal_words", "options_probe")}
