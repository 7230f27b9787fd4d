"""The fields of a record that follow from predictions."""

from __future__ import annotations

import numpy as np

from medprobe.diagnostics.judgement.curves import recorded_auroc
from medprobe.diagnostics.judgement.record import Asked, Predicted, judged_record
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.records.chain import CHAIN, FAILURE_MODES, STAGES, HealthCurve
from medprobe.diagnostics.records.report import Diagnosis

N, K = 240, 2
LABELS = np.arange(N) % K
GROUPS = np.arange(N) // 4
LOCI = (
    "vision.0.mean",
    "vision.3.mean",
    "vision.3.grid",
    "connector.1.mean",
    "llm.2.mean",
    "llm.10.mean",
    "llm.10.last",
)
TAU = dict.fromkeys(STAGES, 0.8)


def wrong(every: int) -> np.ndarray:
    """Predictions of which one in `every` is wrong; all right for 0."""
    return np.where(np.arange(N) // K % every == 0, 1 - LABELS, LABELS) if every else LABELS.copy()


def read(**places: np.ndarray) -> Predicted:
    return Predicted(
        labels=LABELS,
        groups=GROUPS,
        classes=["a", "b"],
        places={place: places.get(place, wrong(0)) for place in CHAIN},
        loci={name: wrong(2 + i) for i, name in enumerate(LOCI)},
        chosen={place: {"first": 2, f"{place} most": 3, "last": 3} for place in CHAIN},
        resamples=Resamples(LABELS, GROUPS, K, 0, 1000),
        seed=0,
    )


AUROC = dict(zip(LOCI, np.linspace(0, 1, len(LOCI)), strict=True))


def record(found: Predicted, least: dict[HealthCurve, float] | None = None) -> Diagnosis:
    judged, fields = judged_record(found, Asked(TAU, least or {}, 0.001), AUROC.get)
    assert judged.verdict == fields["verdict"]
    return Diagnosis(model="m", revision=None, dataset="d", **fields)


def test_a_link_has_its_judgement_and_the_locus_that_speaks_for_its_end() -> None:
    found = record(read(llm=wrong(2), answer=wrong(2)))
    assert found.verdict == "fail"
    assert found.primary_failure_mode == FAILURE_MODES["llm"]
    assert found.failure_modes is not None
    link = found.failure_modes.llm_comprehension_deficit
    assert (link.verdict, link.threshold, link.locus) == ("fail", 0.8, "llm most")
    assert link.loss == 1.0
    assert link.retention == 0.0
    assert found.exits["llm"].loci == {"first": 2, "llm most": 3, "last": 3}


def test_what_is_counted_is_of_the_images() -> None:
    found = record(read(answer=wrong(1)))
    assert (found.n_images, found.n_groups, found.classes) == (N, N // 4, ["a", "b"])
    assert found.accuracy is not None
    assert (found.accuracy.chance, found.accuracy.reference, found.accuracy.answer) == (0.5, 1.0, 0.0)
    assert found.health is not None
    assert found.health.answer == 0.0
    assert found.confusion["answer"] == [[0, N // 2], [N // 2, 0]]
    assert [place for place in CHAIN if found.exits[place].below_chance] == ["answer"]
    assert found.sensitivity["answer"]["a"].value == 0.0


def test_a_limited_score_joins_the_verdict() -> None:
    assert record(read()).verdict == "pass"
    found = record(read(), {"vision": 9.0})
    assert [limit.curve for limit in found.health_limits] == ["vision"]
    assert found.primary_failure_mode == FAILURE_MODES["vision"]


def test_a_curve_has_its_loci_in_the_order_of_the_layers() -> None:
    curves = record(read()).curves
    assert curves is not None
    assert [point.layer for point in curves.llm_mean] == [2, 10]
    assert [point.accuracy for point in curves.vision] == [0.5, 2 / 3]
    assert [point.layer for point in curves.connector_grid] == []


def test_auroc_of_a_record_is_known_by_locus() -> None:
    curves = record(read()).curves
    assert curves is not None
    assert recorded_auroc(curves) == AUROC
