"""The measures of the answer whose least value can be required, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OF_CLASSES = ("sensitivity", "specificity")
"""Measures of one class against the rest: `sensitivity.malignant`."""
OF_ALL: tuple[str, ...] = ()
"""Measures of all classes together."""
DEFAULT = "default"


def least_names(classes: Sequence[str]) -> list[str]:
    """The measures whose least value can be required: of each, more is better."""
    return [*OF_ALL, *(f"{measure}.{name}" for measure in OF_CLASSES for name in classes)]


def required_of(asked: Mapping[str, float], classes: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """The least value by measure, in the order of `least_names`, and what is asked that no measure is named.

    asked: by names in lower case, of which `sensitivity.default` is of every class that is not named itself.
    """
    found: dict[str, float] = {name: asked[name] for name in OF_ALL if name in asked}
    for measure in OF_CLASSES:
        for name in classes:
            least = asked.get(f"{measure}.{name}".casefold(), asked.get(f"{measure}.{DEFAULT}"))
            if least is not None:
                found[f"{measure}.{name}"] = least
    known = {*(name.casefold() for name in least_names(classes)), *(f"{measure}.{DEFAULT}" for measure in OF_CLASSES)}
    return found, [name for name in asked if name not in known]
