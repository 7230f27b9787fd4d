"""Every number that a user types is checked, and means the same everywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from medprobe.commands import compare, tune
from medprobe.commands.cache import main as cache
from medprobe.diagnostics.thresholds import ThresholdError, checked_effect, load_thresholds
from medprobe.diagnostics.typed import above_zero, amount, count, seed, share
from medprobe.plugins import options
from tests.runs.test_compare import FALLEN, LABELS, saved


@pytest.mark.parametrize("value", ["2", "5", "200", "1", "0", "-1", "inf", "nan"])
def test_a_minimum_effect_that_is_no_share_is_refused(
    tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = saved(tmp_path / "a.json", LABELS), saved(tmp_path / "b.json", FALLEN)
    assert compare.main([str(before), str(after), f"--minimum-effect={value}"]) == 4
    out, err = capsys.readouterr()
    assert not out
    assert err.endswith(f"{float(value):g} is none; 2 points are 0.02\n")


@pytest.mark.parametrize(
    "line",
    [
        "[retention]\nvision = {}",
        "[regression]\nminimum_effect = {}",
        "[health]\nleast = {{vision = {}}}",
        "[[override]]\nmodel = 'm'\nretention = {{vision = {}}}",
    ],
)
@pytest.mark.parametrize("value", ["true", "'0.5'", "nan", "inf", "-1", "0"])
def test_a_threshold_is_a_number_in_its_range(tmp_path: Path, line: str, value: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(line.format(value))
    with pytest.raises(ThresholdError, match="is wrong at"):
        load_thresholds(path)


def test_a_share_is_one_unit_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("[regression]\nminimum_effect = 1\n")
    with pytest.raises(ThresholdError, match="less than 1"):
        load_thresholds(path)
    assert checked_effect(0.02) == load_thresholds().margins("m", "d").minimum_effect


def test_a_file_nested_too_deeply_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text("a = " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ThresholdError, match=r"nested too deeply|is no TOML"):
        load_thresholds(path)


def test_an_override_of_what_is_not_in_the_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        "[[override]]\nmodel = 'm0'\nretention = {vision = 0.5}\n"
        "[[override]]\nmodel = 'm0'\ndataset = 'busy'\nregression = {minimum_effect = 0.9}\n"
    )
    said = "the thresholds' override 2 is of m0 on busy, which is not in this run; it changes nothing"
    assert load_thresholds(path).unmatched([("m0", "d", ["a"])]) == [said]
    before, after = saved(tmp_path / "a.json", LABELS), saved(tmp_path / "b.json", FALLEN)
    assert compare.main([str(before), str(after), "--thresholds", str(path)]) == 1
    assert capsys.readouterr().err == f"{said}\n"


def test_a_class_that_no_data_set_has_is_said(tmp_path: Path) -> None:
    """A margin of a misspelt class is a margin of nothing, and the class is held to the default."""
    path = tmp_path / "t.toml"
    path.write_text(
        "[sensitivity]\nmalignent = 0.01\nBenign = 0.1\ndefault = 0.04\n"
        "[[override]]\nmodel = 'm'\nspecificity = {normul = 0.1}\n"
    )
    asked = load_thresholds(path)
    runs = [("m", "d", ["normal", "benign"]), ("n", "e", ["a", "b"])]
    assert [said.split(", ")[0] for said in asked.unmatched(runs)] == [
        "the thresholds name the class malignent",
        "the thresholds name the class normul",
    ]
    assert load_thresholds().unmatched(runs) == []


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (share, ["-0.1", "1.1", "2", "nan", "inf"]),
        (count, ["0", "-1"]),
        (seed, ["-1", str(2**32)]),
        (above_zero, ["0", "-1", "nan", "inf"]),
        (amount, ["-1", "nan", "inf"]),
    ],
)
def test_a_number_out_of_range_is_refused(kind: object, texts: list[str]) -> None:
    assert callable(kind)
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match=f"^{text} is not "):
            kind(text)


def test_the_largest_seed_works() -> None:
    np.random.default_rng(seed(str(2**32 - 1)))
    np.random.RandomState(seed(str(2**32 - 1)))


def test_no_option_takes_a_bare_number() -> None:
    kinds = {settings.get("type") for _, settings in options.OPTIONS}
    kinds |= {action.type for action in tune._parser()._actions}
    assert not kinds & {int, float}
    with pytest.raises(SystemExit):
        cache(["prune", "--older-than", "nan"])
