"""The benchmark of cost runs."""

from benchmarks import cost


def test_a_tiny_slice_runs() -> None:
    found = cost.main(["--tiny", "--rows", "extraction", "probes", "mlp"])
    assert found["extraction"]["images"] == 4
    assert len(found["extraction"]["ratios"]) == 2
    assert found["probes"]["loci"] > 10
    assert found["probes"]["ours_seconds"] > found["probes"]["factorisation_seconds"] > 0
    assert found["mlp"]["times"] > 0


def test_every_row_was_measured() -> None:
    assert list(cost.STUDY.found()["rows"]) == list(cost.ROWS)
