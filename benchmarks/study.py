"""Where a study keeps its results and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GUIDES, STUDIES = ROOT / "docs" / "guides", ROOT / "docs" / "studies"
RESULTS = Path(__file__).resolve().parent / "results"


def results(name: str) -> Path:
    """The numbers of a study, as JSON."""
    return RESULTS / f"{name}.json"


def page(name: str) -> Path:
    """What people read of a study."""
    return STUDIES / f"{name}.md"


def keep(path: Path, found: Any) -> None:
    """Write numbers as they are committed."""
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
