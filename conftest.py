"""Wiring only: which plugins are loaded. `plugins.options` comes before them, from pyproject.toml."""

pytest_plugins = [
    "plugins.gate",
    "plugins.diagnosing",
    "plugins.reporting",
    "plugins.scheduling",
    "plugins.allure.plugin",
]
