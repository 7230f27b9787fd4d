"""Which options may lead pytest away from the suite."""

from __future__ import annotations

from medprobe.home import valued


def test_every_option_that_may_name_a_path_takes_a_value() -> None:
    paths = "model dataset data-root report-dir store processor modules adapter against tuned-from thresholds baseline"
    assert {f"--{name}" for name in [*paths.split(), "save-baseline"]} <= valued()


def test_a_switch_takes_none() -> None:
    assert valued().isdisjoint({"--offline", "--include-images", "--trust-remote-code", "--list-models"})
