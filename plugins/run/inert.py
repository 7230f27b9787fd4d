"""What a test's failure and its captured output say is made inert before any reporter reads it."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from medprobe.diagnostics.outside_text import inert


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The innermost wrapper, since those of JUnit and Allure read the report and the exception behind it."""
    if call.excinfo is not None:
        error = call.excinfo.value
        error.args = tuple(inert(value) if isinstance(value, str) else value for value in error.args)
        if isinstance(error, pytest.fail.Exception | pytest.skip.Exception) and error.msg is not None:
            error.msg = inert(error.msg)
    report = yield
    report.sections = [(title, inert(text)) for title, text in report.sections]
    return report
