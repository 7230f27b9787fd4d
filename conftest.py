"""Wiring only: which plugins and fixtures are loaded. `medprobe.plugins.options` is loaded first, by pyproject.toml."""

pytest_plugins = [
    "medprobe.fixtures.models.fixture",
    "medprobe.fixtures.datasets.fixture",
    "medprobe.diagnostics.fixture",
    "medprobe.plugins.plan",
    "medprobe.plugins.run.gate",
    "medprobe.plugins.run.inert",
    "medprobe.plugins.run.progress",
    "medprobe.plugins.run.diagnosing",
    "medprobe.plugins.run.properties",
    "medprobe.plugins.run.reporting",
    "medprobe.plugins.run.summary",
    "medprobe.plugins.run.exit_code",
    "medprobe.plugins.run.ci",
    "medprobe.plugins.run.scheduling",
    "medprobe.plugins.run.devices",
    "medprobe.plugins.allure.plugin",
]
