"""Accuracy by layer of every stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from medprobe.diagnostics.arrays import Ints
from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.probes.loci import order
from medprobe.diagnostics.records.chain import Curves, Layer


def along(names: Iterable[str], stage: str, readout: str) -> list[str]:
    """The loci of one curve, in the order the signal passes them."""
    return sorted((n for n in names if n.startswith(f"{stage}.") and n.endswith(f".{readout}")), key=order)


def curves_of(
    loci: Mapping[str, Ints], labels: Ints, resamples: Resamples, auroc: Callable[[str], float | None]
) -> Curves:
    """Every curve, from predictions [n_images] by locus; `auroc` is that of a locus."""

    def point(name: str) -> Layer:
        return Layer(
            layer=int(name.split(".")[1]),
            accuracy=float(np.mean(loci[name] == labels)),
            ci=interval(resamples.accuracy(loci[name])),
            auroc=auroc(name),
        )

    return Curves(**{curve: [point(name) for name in along(loci, *_read_at(curve))] for curve in Curves.model_fields})


def recorded_auroc(curves: Curves) -> dict[str, float | None]:
    """The AUROC of each locus that a curve was recorded of."""
    found = {}
    for curve in Curves.model_fields:
        stage, readout = _read_at(curve)
        found.update({f"{stage}.{point.layer}.{readout}": point.auroc for point in getattr(curves, curve)})
    return found


def _read_at(curve: str) -> tuple[str, str]:
    """Stage and readout of a curve: `llm_last` is the last token's, `vision` the mean's."""
    stage, _, readout = curve.partition("_")
    return stage, readout or "mean"
