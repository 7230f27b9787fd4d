"""Under xdist all checks of a model go to one worker, so that no model is loaded twice."""

from __future__ import annotations

from typing import Any

import pytest

from medprobe.plugins.options import CALL


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    models = {pair.id: pair.model.name for pair in config.stash[CALL].pairs}

    class ByModel(LoadScopeScheduling):  # type: ignore[misc]
        """One scope a model; every other test goes with its file, whose fixtures are then made once."""

        def _split_scope(self, nodeid: str) -> str:
            ours = [pair for pair in models if nodeid.endswith((f"[{pair}]", f"-{pair}]"))]
            return models[max(ours, key=len)] if ours else nodeid.partition("::")[0]

    return ByModel(config, log)
