"""Names for what is stored, made of all it depends on."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

FORMAT = "4"
"""Raised with what changes the stored without a trace in its names, such as how pictures are read."""
NAME = re.compile(r"[0-9a-f]{32}")
PICTURES = "pictures-"
"""Begins the name of a folder that holds pictures. A mirror exchanges none of it: pictures stay on the machine."""


def key(**content: Any) -> str:
    """A name for what depends on exactly `content`."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **content}, sort_keys=True).encode()).hexdigest()[:32]
