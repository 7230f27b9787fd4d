"""Wiring only: which plugins are loaded. `plugins.options` comes before them, from pyproject.toml."""

pytest_plugins = [
    "plugins.plan",
    "plugins.gate",
    "plugins.discretion",
    "plugins.progress",
    "plugins.diagnosing",
    "plugins.properties",
    "plugins.reporting",
    "plugins.ci",
    "plugins.scheduling",
    "plugins.devices",
    "plugins.allure.plugin",
]
