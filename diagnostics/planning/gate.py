"""What a comparison with a baseline could decide on a set of images, before anything is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics.baselines.criteria import Criteria
from medprobe.diagnostics.planning.pictures import Pictures
from medprobe.diagnostics.thresholds import Margins


@dataclass(frozen=True)
class GatePlan:
    """One criterion of the regression gate on a data set.

    asked: the margin of the thresholds. clears: the smallest loss that the set clears. has, needed: images by class,
    those there are and those that would decide at the margin asked.
    """

    dataset: str
    criterion: str
    asked: float
    clears: float
    has: dict[str, int]
    needed: dict[str, int]


def gate_plan(pictures: Pictures, margins: Margins) -> Iterator[GatePlan]:
    """The signal of the answer, then sensitivity and specificity of every class; nothing where the patients are not
    known.
    """
    if not pictures.labels:
        return
    labels, classes = np.array(pictures.labels), pictures.answers
    counts = dict(zip(classes, np.bincount(labels, minlength=len(classes)).tolist(), strict=True))
    signal, of_class = Criteria(labels, np.array(pictures.groups), classes).accepted(margins)
    named = {"signal": signal} | {f"{measure} for {classes[k]}": found for (measure, k), found in of_class.items()}
    for criterion, found in named.items():
        has = {name: counts[name] for name in found.needed}
        yield GatePlan(pictures.name, criterion, found.asked, found.clears, has, found.needed)


def rows(plans: Sequence[GatePlan]) -> list[tuple[str, ...]]:
    """Data set, criterion, points asked, points cleared, images there are, images needed."""
    head = ("data set", "criterion", "asked", "clears", "images", "needed")
    return [
        head,
        *(
            (
                plan.dataset,
                plan.criterion,
                f"{100 * plan.asked:.3g}",
                f"{100 * plan.clears:.3g}",
                f"{sum(plan.has.values()):,}",
                f"{sum(plan.needed.values()):,}",
            )
            for plan in plans
        ),
    ]
