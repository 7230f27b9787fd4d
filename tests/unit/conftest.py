"""A unit test starts no Python and no browser: what runs the suite in a process of its own stands in tests/runs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

OURS = (sys.executable, "medprobe", "pytest", "chromium")


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries may ask the system for theirs: torch runs ldconfig where it is first imported."""
    started = subprocess.Popen.__init__

    def start(self: Any, args: Any, *more: Any, **how: Any) -> None:
        program = args if isinstance(args, str) else str(args[0])
        assert not any(name in program for name in OURS), f"a unit test starts {program}"
        started(self, args, *more, **how)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
