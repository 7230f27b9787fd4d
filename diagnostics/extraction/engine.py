"""Where features are extracted, as `--engine` says."""

from __future__ import annotations

from diagnostics.measurement import Extract, extract_here
from diagnostics.settings import Settings


def engine(settings: Settings) -> Extract:
    """What reads chunks of images. The further passes of controls are few, and stay where the judgement is."""
    if settings.engine == "local":
        return extract_here
    from diagnostics.cluster import extract

    return extract
