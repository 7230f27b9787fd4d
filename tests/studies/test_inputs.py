"""Nothing of what was tried is read wrongly, and the page says what was found."""

from __future__ import annotations

import json

from benchmarks import inputs


def test_every_input_is_read_rightly_or_refused() -> None:
    wrong = {(kind, name) for kind, found in inputs.try_all().items() for name, right in found.items() if not right}
    assert not wrong


def test_the_page_is_what_was_found() -> None:
    found = json.loads(inputs.RESULTS.read_text("utf-8"))
    assert inputs.PAGE.read_text("utf-8") == inputs.page(found)
    assert set(found["now"]) == set(inputs.TESTS)
    assert all(all(names.values()) for names in found["now"].values())
    assert all((inputs.HERE.parent / "tests/datasets" / test).is_file() for test in inputs.TESTS.values())
