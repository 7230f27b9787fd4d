"""What hiding the lesion changed, for the page and the terminal."""

from __future__ import annotations

from medprobe.diagnostics.records.grounding import Grounding, Hiding
from medprobe.plugins.report.text import interval, percent, points, shown, signed

WAYS = {"pixels": "hidden in the picture", "tokens": "hidden at the decoder's input, as image tokens"}


def sentence(grounding: Grounding) -> str:
    """What it comes to, in one sentence."""
    pixels = grounding.pixels
    if pixels is None:
        return f"no lesion was hidden: {grounding.reason}"
    answer = pixels.places["answer"]
    if grounding.shortcut is None:
        return f"the answer has no signal ({shown(answer.intact)} points) that could depend on the lesion"
    kept = (
        f"with the lesion hidden the answer keeps {shown(answer.without_lesion)} of {points(answer.intact)} points, "
        f"with an equal area elsewhere hidden {shown(answer.without_elsewhere)}"
    )
    if grounding.shortcut:
        return f"{kept}: it does without the lesion"
    return f"{kept}: it depends on the lesion" if grounding.depends_on_lesion else f"{kept}: these images cannot tell"


def rows(grounding: Grounding | None) -> list[tuple[str, str, str, str, str, str, str]]:
    """Way, place, signal intact and without lesion and elsewhere, and what the lesion itself carries with interval."""
    return [
        (
            WAYS[way],
            place,
            shown(hidden.intact),
            shown(hidden.without_lesion),
            shown(hidden.without_elsewhere),
            signed(hidden.specific.change),
            interval(hidden.specific.ci),
        )
        for way, hiding in _ways(grounding)
        for place, hidden in hiding.places.items()
    ]


def facts(grounding: Grounding | None) -> list[str]:
    """What else is known, a sentence each."""
    if grounding is None or grounding.pixels is None:
        return []
    said = []
    for way, hiding in _ways(grounding):
        if hiding.reason is not None:
            said.append(f"Not {WAYS[way]}: {hiding.reason}.")
            continue
        said.append(
            f"Lesion {WAYS[way]}: the likeliest option changes in {percent(hiding.changed_by_lesion)} of images with a "
            f"lesion, elsewhere in {percent(hiding.changed_by_elsewhere)}; {hiding.right_without_lesion} of "
            f"{hiding.right} answered rightly stay so."
        )
    if grounding.n_left_out:
        said.append(
            f"{grounding.n_left_out:,} images are left out: their lesion is unknown or leaves no equal area elsewhere."
        )
    return said


def _ways(grounding: Grounding | None) -> list[tuple[str, Hiding]]:
    found = [(way, getattr(grounding, way)) for way in WAYS] if grounding else []
    return [(way, hiding) for way, hiding in found if hiding is not None]
