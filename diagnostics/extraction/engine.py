"""Where features are extracted, as `--engine` says."""

from __future__ import annotations

from medprobe.diagnostics.extraction.cluster import extract
from medprobe.diagnostics.extraction.measurement import Extract, extract_here
from medprobe.diagnostics.settings import Settings


def engine(settings: Settings) -> Extract:
    """What reads chunks of images. The further passes of controls are few, and stay where the judgement is."""
    if settings.engine == "local":
        return extract_here
    return extract
