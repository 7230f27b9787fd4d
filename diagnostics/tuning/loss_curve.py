"""The loss over the steps, as numbers and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SMOOTHED = 20
"""Points of the line of means."""


def write(folder: Path, losses: Sequence[float], epochs: float) -> None:
    """`loss.json`, the mean loss of each step in nats an image, and `loss.svg`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    (folder / "loss.json").write_text(json.dumps({"unit": "nats an image", "loss": list(losses)}) + "\n", "utf-8")
    seen = epochs * np.arange(1, len(losses) + 1) / len(losses)
    parts = np.array_split(np.arange(len(losses)), min(SMOOTHED, len(losses)))
    with rc_context({"svg.hashsalt": "medprobe", "svg.fonttype": "none", "font.family": ["DejaVu Sans"]}):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.plot(seen, losses, color="#5b6472", linewidth=0.6, label="a step")
        means = [(seen[part].mean(), np.asarray(losses)[part].mean()) for part in parts]
        axes.plot(*zip(*means, strict=True), color="#0072b2", linewidth=1.8, label="mean")
        axes.set(xlabel="epochs", ylabel="loss, nats an image", ylim=(0, None))
        axes.legend(frameon=False)
        figure.savefig(folder / "loss.svg", metadata={"Date": None, "Creator": None})
