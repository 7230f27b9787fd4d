"""Where the suite lies, and how pytest finds it again when an option names a folder elsewhere.

pytest looks for its root before it knows the suite's options, so in `--data-root /data` the folder counts as a test
path, and the root, the settings and the suite itself are lost. Installed as an entry point, this module starts the same
call again with the root given.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

HOME = (Path(__file__).parent / "conftest.py").resolve().parent
"""In the wheel the suite lies in this package, in a checkout this package lies in the suite and links to it."""

SETTINGS = HOME / "pyproject.toml"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    call = early_config.invocation_params
    settled = early_config.known_args_namespace.inifilename is not None  # a -c of the caller's own
    strayed = not settled and early_config.rootpath != HOME and call.dir.resolve() == HOME
    if strayed and not valued().isdisjoint(str(argument).split("=")[0] for argument in call.args):
        raise SystemExit(int(pytest.main(["-c", str(SETTINGS), *map(str, call.args)])))
    return (yield)


def valued() -> set[str]:
    """The suite's options that take a value, which pytest may take for a test path."""
    from medprobe.plugins.options import OPTIONS

    return {name for name, settings in OPTIONS if settings.get("action") != "store_true"}
