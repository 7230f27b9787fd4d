"""The records of hidden lesions."""

from __future__ import annotations

from pydantic import Field

from medprobe.diagnostics.records.chain import Difference, Record, Stage


class Hidden(Record):
    """Signal at one place of the chain on the same images: intact, without the lesion, without an equal area elsewhere.

    Images without a lesion lose a place of another image's lesion, so that all are treated alike.
    """

    intact: float
    without_lesion: float
    without_elsewhere: float
    by_lesion: Difference
    """Without the lesion less intact."""
    by_elsewhere: Difference
    """Without the area elsewhere less intact."""
    specific: Difference
    """Without the lesion less without the area elsewhere: what the lesion itself carries."""


class Hiding(Record):
    """What one way of hiding changes; empty where `reason` says why it was not tried.

    Counts and shares are of the images with a lesion.
    """

    reason: str | None = None
    places: dict[Stage, Hidden] = Field(default_factory=dict)
    changed_by_lesion: float | None = None
    """Share whose likeliest option changes without the lesion."""
    changed_by_elsewhere: float | None = None
    changed: Difference | None = None
    """The first share less the second, in shares of images."""
    right: int | None = None
    """Images answered rightly as they are."""
    right_without_lesion: int | None = None
    """Of those, how many are still answered rightly without the lesion."""
    right_without_elsewhere: int | None = None


class Grounding(Record):
    """Whether answer and exits depend on the lesion: hidden in the picture, and as image tokens at the decoder's input.

    Null where `reason` says why nothing was hidden; `depends_on_lesion` and `shortcut` also where the answer has no
    signal.
    """

    n_images: int = 0
    n_lesions: int = 0
    n_left_out: int = 0
    """Images of the sample whose lesion is unknown or leaves no equal area elsewhere."""
    reason: str | None = None
    pixels: Hiding | None = None
    tokens: Hiding | None = None
    depends_on_lesion: bool | None = None
    """Whether the answer loses more by the lesion than by an equal area elsewhere."""
    shortcut: bool | None = None
    """Whether the answer keeps more than half of its signal without the lesion."""
