"""Hooks that a project implements in a conftest.py beside its checks, or in a plugin: docs/guides/project.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from medprobe.diagnostics.records.report import Diagnosis


@pytest.hookspec()
def pytest_medprobe_datasets(config: pytest.Config) -> Mapping[str, str | Path]:  # type: ignore[empty-body]
    """Data-set manifests by name, as in `[datasets]` of medprobe.toml."""


@pytest.hookspec()
def pytest_medprobe_models(config: pytest.Config) -> Mapping[str, Mapping[str, Any]]:  # type: ignore[empty-body]
    """Model aliases: a table as in `[models.NAME]` of medprobe.toml by name."""


@pytest.hookspec()
def pytest_medprobe_diagnosed(config: pytest.Config, diagnosis: Diagnosis) -> None:
    """A diagnosis stands in the report, which is written. Called once for each, in the controller alone."""
