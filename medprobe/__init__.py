"""Says where, between the pixels and the answer, a medical multimodal LLM loses the diagnosis signal.

What `__all__` names, the options of the command line, the pytest fixtures and hooks that the guides show, and
`report.json` are what others may rely on. Every other module, class and function is private and may change in any
release.

PYTEST_DONT_REWRITE: the command has imported this before pytest could rewrite its assertions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medprobe.api import diagnose
    from medprobe.diagnostics.records.report import Diagnosis, Predictions, Report
    from medprobe.diagnostics.records.saved import load_report
    from medprobe.fixtures.errors import MedprobeError

__all__ = ["Diagnosis", "MedprobeError", "Predictions", "Report", "diagnose", "load_report"]

_PLACES = {
    "Diagnosis": "medprobe.diagnostics.records.report",
    "MedprobeError": "medprobe.fixtures.errors",
    "Predictions": "medprobe.diagnostics.records.report",
    "Report": "medprobe.diagnostics.records.report",
    "diagnose": "medprobe.api",
    "load_report": "medprobe.diagnostics.records.saved",
}


def __getattr__(name: str) -> object:
    """Imports what is asked for, since every start of pytest imports this package: it is an entry point."""
    if name not in _PLACES:
        raise AttributeError(f"module 'medprobe' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
