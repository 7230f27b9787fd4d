"""Wiring only: which plugins are loaded. `medprobe.plugins.options` comes before them, from pyproject.toml."""

pytest_plugins = [
    "medprobe.plugins.plan",
    "medprobe.plugins.run.gate",
    "medprobe.plugins.run.inert",
    "medprobe.plugins.run.progress",
    "medprobe.plugins.run.diagnosing",
    "medprobe.plugins.run.properties",
    "medprobe.plugins.run.reporting",
    "medprobe.plugins.run.summary",
    "medprobe.plugins.run.ci",
    "medprobe.plugins.run.scheduling",
    "medprobe.plugins.run.devices",
    "medprobe.plugins.allure.plugin",
]
