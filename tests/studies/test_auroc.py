"""A small slice of the study of AUROC's intervals."""

from __future__ import annotations

from benchmarks import auroc
from benchmarks.auroc import Design


def test_intervals_hold_the_truth_where_those_by_images_do_not() -> None:
    """200 draws: 95 percent less three standard errors is 90.4."""
    found = auroc.run(Design(60, 4, 0.5, 0.9), 200)
    assert found["holds"] >= 0.904
    assert found["delong_holds"] < 0.85


def test_the_page_is_made_of_the_committed_rows() -> None:
    found = auroc.STUDY.found()
    assert len(found) == len(auroc.designs())
    assert auroc.STUDY.page.read_text("utf-8") == auroc.page(found)
