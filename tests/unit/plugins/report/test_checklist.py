"""The checklist: items as their sources number them, filled from keys that a report has."""

from __future__ import annotations

import csv
import io

import pytest

from medprobe.commands.checklist import main
from medprobe.plugins.report.checklist import _at, guidelines, rows, write
from medprobe.plugins.report.outputs.files import write_report
from tests.unit.plugins.report import samples

EVERYTHING = [d.model_dump(mode="json") for d in (samples.connector_fail(), samples.wrong_mean())]
SUITE = {"versions": {"medprobe": "0.1.0"}, "python": "3.11"}


def test_items_are_numbered_as_their_sources_number_them():
    found = {guideline.name: [item.number for item in guideline.items] for guideline in guidelines()}
    assert {name: len(numbers) for name, numbers in found.items()} == {
        "STARD-AI 2025": 48,
        "CLAIM 2024": 44,
        "TRIPOD+AI": 52,
    }
    assert found["CLAIM 2024"] == [str(number) for number in range(1, 45)]
    for name, last in (("STARD-AI 2025", 40), ("TRIPOD+AI", 27)):
        bare = [int(number.rstrip("abcdefg")) for number in found[name]]
        assert sorted(set(bare)) == list(range(1, last + 1))
        assert bare == sorted(bare)
        assert len(set(found[name])) == len(found[name])


def test_every_key_is_one_that_a_report_has():
    keys = {key for guideline in guidelines() for item in guideline.items for key in item.keys}
    known = {"settings.model_fingerprint", "settings.data_fingerprint", "settings.n_folds", "settings.max_images"}
    missing = {
        key
        for key in keys - known
        if all(_at(diagnosis | {"suite": SUITE}, key) is None for diagnosis in EVERYTHING) and key != "revision"
    }
    assert not missing


def test_each_item_is_filled_or_says_what_to_write():
    for guideline in guidelines():
        assert not [item.number for item in guideline.items if not item.keys and not item.team]
        for row in rows(guideline, samples.connector_fail(), SUITE):
            assert (row.filled == "to write") == (not row.values)


def test_an_error_fills_nothing_that_was_not_measured():
    (stard, *_) = guidelines()
    accuracy = next(row for row in rows(stard, samples.failed(), SUITE) if row.item.number == "31")
    assert accuracy.filled == "to write"
    held = next(row for row in rows(stard, samples.connector_fail(), SUITE) if row.item.number == "31")
    assert held.filled == "filled"
    assert "pneumonia" in dict(held.values)["sensitivity"]


def test_page_and_table_hold_no_markup_and_no_formula(tmp_path):
    evil = samples.healthy().model_copy(update={"model": samples.SCRIPT_NAME, "dataset": "=cmd()"})
    page, table = write(write_report(samples.report(evil, samples.failed()), tmp_path), tmp_path)
    assert "<script>" not in page.read_text("utf-8")
    first = list(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    assert len(first) == 2 * (48 + 44 + 52)
    assert first[0]["dataset"] == "'=cmd()"
    assert first[0]["this run"] == ""


def test_a_report_that_is_none_is_one_sentence(tmp_path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "report.json").write_text("[]")
    assert main([str(tmp_path / "report.json"), "--out", str(tmp_path / "out")]) == 4
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
