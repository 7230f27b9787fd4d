"""Nothing of what was tried is read wrongly."""

from __future__ import annotations

from benchmarks import inputs
from tests.places import ROOT


def test_every_input_is_read_rightly_or_refused() -> None:
    wrong = {(kind, name) for kind, found in inputs.try_all().items() for name, right in found.items() if not right}
    assert not wrong


def test_every_kind_has_its_test() -> None:
    found = inputs.STUDY.found()
    assert set(found["now"]) == set(inputs.TESTS)
    assert all(all(names.values()) for names in found["now"].values())
    assert all((ROOT / inputs.TESTS_OF_THEM / test).is_file() for test in inputs.TESTS.values())
