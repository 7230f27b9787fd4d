"""The measures of the answer whose least value can be required, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

OF_CLASSES = (
    *("sensitivity", "specificity", "auroc", "average_precision", "f1"),
    *("operating_point.sensitivity", "operating_point.specificity"),
)
"""Measures of one class against the rest: `sensitivity.malignant`."""
OF_ALL = ("auroc", "macro_f1", "kappa", "quadratic_kappa")
"""Measures of all classes together."""
SPOKEN = {
    "auroc": "AUROC",
    "f1": "F1",
    "macro_f1": "macro F1",
    "operating_point.sensitivity": "sensitivity at the operating point",
    "operating_point.specificity": "specificity at the operating point",
}
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


def spoken(name: str) -> str:
    """How a measure is named in a sentence: `sensitivity for malignant`."""
    if name in OF_ALL:
        return SPOKEN.get(name, name.replace("_", " "))
    measure = next(measure for measure in OF_CLASSES if name.startswith(f"{measure}."))
    return f"{SPOKEN.get(measure, measure.replace('_', ' '))} for {name.removeprefix(f'{measure}.')}"
