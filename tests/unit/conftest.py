"""A unit test starts no process: what runs the suite, or a browser, stands in tests/runs."""

import subprocess

import pytest


@pytest.fixture(autouse=True)
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"a unit test starts a process: {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
