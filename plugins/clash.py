"""Which plugin an option of ours clashes with: pytest itself says only that there is a clash."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest


def clash(option: str, plugin: str) -> pytest.UsageError:
    """The refusal that names the option, the other plugin and the mend."""
    return pytest.UsageError(
        f"the option {option} also belongs to the plugin {plugin}; leave that out with -p no:{plugin}"
    )


def owner(option: str, pluginmanager: pytest.PytestPluginManager, ours: str) -> str:
    """The plugin that already added `option`; `ours` is the name of the module that asks."""
    for plugin in pluginmanager.get_plugins():
        added = getattr(plugin, "pytest_addoption", None)
        if added is None or getattr(plugin, "__name__", "") == ours:
            continue
        trial = pytest.Parser(_ispytest=True)
        others = [other for other in pluginmanager.get_plugins() if other is not plugin]
        try:
            pluginmanager.subset_hook_caller("pytest_addoption", others)(parser=trial, pluginmanager=pluginmanager)
        except Exception:
            continue
        if any(
            option in known.names()
            for known in [*trial._anonymous.options, *(o for g in trial._groups for o in g.options)]
        ):
            return str(pluginmanager.get_name(plugin) or plugin)
    return "another plugin"


def watch(pluginmanager: pytest.PytestPluginManager, options: Collection[str]) -> None:
    """Name the plugin that is loaded later and stumbles over one of `options`: only its own call of the hook shows
    which one it is.
    """

    def before(hook_name: str, *_: object) -> None:
        if hook_name == "pytest_cmdline_main":
            stop()

    def after(outcome: Any, hook_name: str, implementations: Sequence[Any], _: object) -> None:
        error = outcome.exception if hook_name == "pytest_addoption" else None
        if isinstance(error, ValueError | argparse.ArgumentError):
            words = str(error).replace(",", " ").replace("'", " ").split()
            ours = [name for name in options if name in words]
            if ours:
                outcome.force_exception(clash(ours[0], implementations[-1].plugin_name))

    stop: Callable[[], None] = pluginmanager.add_hookcall_monitoring(before, after)
