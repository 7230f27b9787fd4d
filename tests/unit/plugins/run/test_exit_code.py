"""A found fault and a model that could not be measured end in codes of their own, where that is asked for."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from medprobe.diagnostics.typed import error_code
from medprobe.plugins.run.exit_code import ErrorCode
from medprobe.plugins.run.reporting import REPORT
from tests.unit.plugins.report import samples


def ended(*phases: str, diagnoses=(), status=pytest.ExitCode.TESTS_FAILED):
    stash = pytest.Stash()
    if diagnoses:
        stash[REPORT] = samples.report(*diagnoses)
    session = SimpleNamespace(config=SimpleNamespace(stash=stash), exitstatus=status)
    watching = ErrorCode(10)
    for phase in phases:
        watching.pytest_runtest_logreport(SimpleNamespace(failed=True, when=phase))  # type: ignore[arg-type]
    watching.pytest_sessionfinish(session)  # type: ignore[arg-type]
    return session.exitstatus


def test_what_could_not_be_measured_has_its_own_code():
    assert ended("setup", "setup", diagnoses=[samples.failed()]) == 10
    # A worker that died.
    assert ended("???", diagnoses=[samples.failed(), samples.healthy()]) == 10


def test_a_failure_is_1_whatever_else_could_not_be_measured():
    assert ended("call", "setup", diagnoses=[samples.failed(), samples.llm_fail()]) == 1
    assert ended("call", diagnoses=[samples.llm_fail()]) == 1


def test_other_codes_stay():
    assert ended("setup", diagnoses=[samples.failed()], status=pytest.ExitCode.INTERRUPTED) == 2
    assert ended("setup", diagnoses=[samples.healthy()]) == 1
    assert ended("setup") == 1
    assert ended(diagnoses=[samples.healthy()], status=pytest.ExitCode.OK) == 0


@pytest.mark.parametrize("text", ["0", "5", "126", "-1", "1000"])
def test_codes_of_pytest_and_of_shells_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not an exit code from 6 to 125"):
        error_code(text)
    assert error_code("10") == 10
