"""What a watched run left."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.runs.calling import Run


@dataclass(frozen=True)
class Watched:
    run: Run
    store: Path
    lines: list[str]

    def loads(self) -> Counter[str]:
        """How often each model was loaded."""
        return Counter(line.removesuffix(" loaded") for line in self.lines if line.endswith(" loaded"))

    def extracted(self, model: str, dataset: str = "small") -> Counter[str]:
        """How often each image was read for the features of `model`."""
        named = f"{model} {dataset}: "
        return Counter(image for line in self.lines if line.startswith(named) for image in line.split(": ")[1].split())

    def spread(self) -> Counter[str]:
        """How often each array was read on a cluster."""
        return Counter(line.removesuffix(" spread") for line in self.lines if line.endswith(" spread"))

    def diagnosis(self, model: str) -> dict[str, Any]:
        """The report's entry without timing."""
        found = dict(self.run.diagnoses[model, "small"])
        del found["timing"]
        return found

    def predictions(self, model: str) -> bytes:
        return (self.run.report_dir / f"{model}-small" / "predictions.json").read_bytes()


def equal(watched: Watched, alone: Watched, model: str) -> bool:
    """Whether the diagnosis is the same to the last digit."""
    same = json.dumps(watched.diagnosis(model)) == json.dumps(alone.diagnosis(model))
    return same and watched.predictions(model) == alone.predictions(model)
