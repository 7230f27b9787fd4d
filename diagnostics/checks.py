"""How a check turns the judgement of its link into the outcome of a test."""

from __future__ import annotations

from typing import NoReturn

import pytest

from medprobe.diagnostics.judgement.headline import claim
from medprobe.diagnostics.records.chain import FailureMode
from medprobe.diagnostics.records.least import criteria_by_check
from medprobe.diagnostics.records.report import Diagnosis


def check(diagnosis: Diagnosis, mode: FailureMode, fail_inconclusive: bool) -> None:
    """Raise AssertionError where the link fails, skip where it cannot be decided."""
    __tracebackhide__ = True
    assert diagnosis.failure_modes is not None
    link = getattr(diagnosis.failure_modes, mode)
    about = f"{diagnosis.model} on {diagnosis.dataset}: {link.reason}"
    if link.verdict == "fail":
        low, high = (100 * bound for bound in link.ci)
        told = claim(diagnosis, mode)
        raise AssertionError(
            f"[{mode}] {about} (loss {100 * link.loss:.1f} points, {low:.1f} to {high:.1f}, at {link.locus})"
            f"{f'; {told}' if told else ''}"
        )
    if link.verdict == "inconclusive":
        _undecided(mode, about, fail_inconclusive)


def check_subgroups(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    """Raise AssertionError where a stratum lies below the rest or an attribute is a shortcut, skip where that is
    undecided.
    """
    __tracebackhide__ = True
    assert diagnosis.attributes is not None
    found = diagnosis.attributes
    about = f"{diagnosis.model} on {diagnosis.dataset}: {found.reason}"
    if found.verdict == "fail":
        raise AssertionError(f"[subgroups] {about}")
    if found.verdict == "inconclusive":
        _undecided("subgroups", about, fail_inconclusive)


def check_regression(diagnosis: Diagnosis, fail_inconclusive: bool) -> None:
    """Raise AssertionError where a place or class has regressed against the baseline, skip where that is undecided."""
    __tracebackhide__ = True
    assert diagnosis.regression is not None
    found = diagnosis.regression
    about = (
        f"{diagnosis.model} on {diagnosis.dataset} against {found.baseline.model} in {found.baseline.file}: "
        f"{found.verdict.replace('_', ' ')}: {found.reason}"
    )
    if found.verdict == "regressed":
        raise AssertionError(f"[regression] {about}")
    if found.verdict == "inconclusive":
        _undecided("regression", about, fail_inconclusive)


def check_least(diagnosis: Diagnosis, check: str, fail_inconclusive: bool) -> None:
    """Raise AssertionError where less than required was read, skip where that is undecided."""
    __tracebackhide__ = True
    criterion = criteria_by_check(diagnosis.least)[check]
    about = f"{diagnosis.model} on {diagnosis.dataset}: {criterion.reason}"
    if criterion.verdict == "fail":
        raise AssertionError(f"[{check}] {about}")
    if criterion.verdict == "inconclusive":
        _undecided(check, about, fail_inconclusive)


def _undecided(check: str, about: str, fail_inconclusive: bool) -> NoReturn:
    """Fail where an undecided check is to fail, else skip."""
    __tracebackhide__ = True
    if fail_inconclusive:
        raise AssertionError(f"[{check}] [inconclusive] {about}")
    pytest.skip(f"[inconclusive] {about}")
