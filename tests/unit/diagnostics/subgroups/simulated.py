"""Answers of drawn patients with attributes."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.subgroups import Strata
from medprobe.diagnostics.subgroups.reading import Read

CLASSES = ("normal", "benign", "malignant")
N_PATIENTS, PER = 240, 2


def simulated(kind: str, seed: int = 0) -> tuple[Read, dict[str, Strata]]:
    """kind: `healthy`; `associated`, the scanner goes with the class; `shortcut`, and the answer follows it; `sex`,
    female patients are all called normal; `split`, sex and fault differ by image."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(N_PATIENTS), PER)
    own = np.arange(N_PATIENTS) % 3
    labels = own[groups]
    sex = rng.integers(0, 2, N_PATIENTS)[groups]
    if kind == "split":
        sex = np.tile([0, 1], N_PATIENTS)
    agreement = 0.7 if kind in ("associated", "shortcut") else 1 / 3
    scanner = np.where(rng.random(N_PATIENTS) < agreement, own, (own + rng.integers(1, 3, N_PATIENTS)) % 3)[groups]
    answers = np.where(rng.random(len(labels)) < 0.96, labels, (labels + 1) % 3)
    if kind in ("sex", "split"):
        answers = np.where(sex == 0, 0, answers)
    if kind == "shortcut":
        answers = scanner.copy()
    places = dict.fromkeys(CHAIN, labels) | {"answer": answers}
    strata = {
        "sex": Strata(values=["female", "male"], codes=sex.tolist()),
        "scanner": Strata(values=["A", "B", "C"], codes=scanner.tolist()),
    }
    return Read(labels, groups, CLASSES, places, seed), strata
