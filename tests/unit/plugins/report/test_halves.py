"""The chain in two halves."""

from __future__ import annotations

import pytest

from medprobe.plugins.report.pictures.perception import halves, halves_svg, halves_text
from tests.unit.plugins.report import samples


def test_the_halves_add_up():
    found = halves(samples.connector_fail())
    assert found.reference - found.perception - found.reasoning == pytest.approx(found.answer)
    assert found.perception > found.reasoning


def test_what_was_not_measured_has_no_figure():
    assert halves(samples.failed()) is None
    assert halves_svg(samples.failed()) is None
    assert halves_text(samples.failed()) == ""


def test_figure_and_words_say_the_same():
    diagnosis = samples.connector_fail()
    found, svg = halves(diagnosis), halves_svg(diagnosis)
    for value in (found.perception, found.reasoning):
        assert f"{value:.1f}".replace("-", "\N{MINUS SIGN}") in svg
        assert f"{value:.1f}".replace("-", "\N{MINUS SIGN}") in halves_text(diagnosis)
    assert "<script" not in svg
