"""The benchmark of cost runs, and its page says what its results say."""

import json

from benchmarks import cost


def test_a_tiny_slice_runs() -> None:
    found = cost.main(["--tiny", "--rows", "extraction", "probes", "mlp"])
    assert found["extraction"]["images"] == 4
    assert len(found["extraction"]["ratios"]) == 2
    assert found["probes"]["loci"] > 10
    assert found["probes"]["ours_seconds"] > found["probes"]["factorisation_seconds"] > 0
    assert found["mlp"]["times"] > 0


def test_the_page_shows_what_was_measured() -> None:
    rows = json.loads(cost.RESULTS.read_text("utf-8"))["rows"]
    assert list(rows) == list(cost.ROWS)
    page = cost.PAGE.read_text("utf-8")
    assert cost.table(rows) in page
    assert cost.where_the_time_goes(rows["profile"]) in page
