"""The exit code of a run whose models could not be measured, where `--error-code` asks for one of its own.

pytest's own codes are 0 to 5, and what runs pytest knows those alone: a wrapper that repeats failed tests may take any
other for a crash. So there is none unless it is asked for.
"""

from __future__ import annotations

import pytest

from medprobe.plugins.options import CALL
from medprobe.plugins.run.reporting import REPORT


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    code = config.stash[CALL].error_code
    if code is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(ErrorCode(code))


class ErrorCode:
    """Remembers whether any check failed by what it found."""

    def __init__(self, code: int) -> None:
        self._code, self._found = code, False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # What cannot be measured fails in the set-up, and the checks of a process that died fail in no phase at all.
        self._found = self._found or (report.failed and report.when == "call")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Follows the hook that makes the report, which comes first."""
        report = session.config.stash.get(REPORT, None)
        errors = report is not None and any(diagnosis.error is not None for diagnosis in report.diagnoses)
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and errors and not self._found:
            session.exitstatus = self._code
