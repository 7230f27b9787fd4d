"""Where a verdict turns: every bound and threshold from both of its sides."""

from __future__ import annotations

import numpy as np
import pytest

from medprobe.diagnostics.judgement import health, verdicts
from medprobe.diagnostics.judgement.resamples import ALPHA
from medprobe.diagnostics.judgement.verdicts import judge
from medprobe.diagnostics.records.chain import CHAIN, HealthLimit
from tests.unit.diagnostics.judgement.test_verdicts import TAU, judged, patients

N = 100_000


def margins(above: float) -> np.ndarray:
    """Resampled margins of which the share `above` is over 0."""
    return np.where(np.arange(N) < round(above * N), 1.0, -1.0)


@pytest.mark.parametrize(
    ("above", "verdict"),
    [
        # A fail is one of four links: at most ALPHA / 4 = 0.0125 may lie on the other side; of a pass 0.05.
        (0.0, "fail"),
        (0.0124, "fail"),
        (0.0126, "inconclusive"),
        (0.0499, "inconclusive"),
        (0.9499, "inconclusive"),
        (0.9501, "pass"),
        (1.0, "pass"),
    ],
)
def test_a_verdict_turns_at_its_bound(above: float, verdict: str) -> None:
    found, reason = verdicts._handed_on(margins(above), 0.8, "vision")
    assert found == verdict
    assert health._verdict(margins(above)) == verdict
    about = {"fail": "less than", "pass": "at least", "inconclusive": "these images cannot tell whether"}
    assert reason == f"{about[verdict]} 80% of the signal at the vision is handed on"


def test_a_margin_of_nothing_decides_nothing() -> None:
    assert verdicts._handed_on(np.zeros(N), 0.8, "vision")[0] == "inconclusive"
    assert health._verdict(np.zeros(N)) == "inconclusive"


class Drawn:
    """Resamples whose signals are given by place, from the first prediction there."""

    fewest_groups = 20

    def __init__(self, signals: dict[int, np.ndarray]) -> None:
        self._signals = signals

    def signal(self, predictions: np.ndarray, place: str) -> np.ndarray:
        return self._signals.get(id(predictions), np.full(N, 0.9))


def judged_by(**drawn: np.ndarray) -> verdicts.Judgement:
    """The chain of perfect predictions whose resampled signals are those given, else 0.9."""
    labels, _ = patients(40)
    predictions = {place: labels.copy() for place in CHAIN}
    known = {id(values): drawn.get(place, np.full(N, 0.9)) for place, values in predictions.items()}
    return judge(labels, predictions, TAU, Drawn(known), 2, 0.001)  # type: ignore[arg-type]


@pytest.mark.parametrize(("above", "readable"), [(0.9874, False), (0.9876, True), (1.0, True)])
def test_a_place_is_readable_at_the_bound_of_a_fail(above: float, readable: bool) -> None:
    found = judged_by(connector=margins(above))
    assert ("nothing left to lose" in found.links["llm"].reason) is not readable
    assert (found.links["llm"].retention is None) is not readable
    reference = judged_by(reference=margins(above))
    assert all(("do not carry the labels" in link.reason) is not readable for link in reference.links.values())


def test_a_place_at_chance_in_every_resample_is_not_readable() -> None:
    assert "nothing left to lose" in judged_by(connector=np.zeros(N)).links["llm"].reason


def test_equal_losses_in_every_resample_are_tied() -> None:
    found = judged_by(reference=np.full(N, 0.9), vision=np.full(N, 0.5), connector=np.full(N, 0.1))
    assert [s for s, link in found.links.items() if link.verdict == "fail"] == ["vision", "connector"]
    assert (found.primary, len(found.tied)) == (None, 2)


@pytest.mark.parametrize(
    ("null_p", "reached"),
    [(ALPHA / 4, "permuted labels reach as well (p 0.013)"), (0.2, "permuted labels reach as well (p 0.2)")],
)
def test_the_null_is_reached_from_its_bound_on(null_p: float, reached: str) -> None:
    found = judged((0.95,) * 5, null_p=null_p)
    assert {link.reason for link in found.links.values()} == {
        f"these images do not carry the labels: the reference reads 90.0 points of signal, which {reached}"
    }
    below = judged((0.52,) * 5, null_p=0.0124)
    assert below.links["vision"].reason == (
        "these images do not carry the labels: the reference reads 4.0 points of signal, which may be chance"
    )


def test_a_judgement_says_all_of_a_link() -> None:
    found = judged((0.95, 0.95, 0.7, 0.7, 0.7))
    for stage, link in found.links.items():
        assert link.threshold == TAU[stage]
    assert found.links["connector"].reason == "less than 80% of the signal at the vision is handed on"
    assert list(found.signal_ci) == list(CHAIN)
    for place, (low, high) in found.signal_ci.items():
        assert low < found.signal[place] < high


@pytest.mark.parametrize("below", [0.4, 0.5])
def test_a_place_not_above_chance_has_no_retention(below: float) -> None:
    found = judged((0.95, below, 0.9, 0.9, 0.9))
    assert found.links["connector"].retention is None


def test_the_reasons_of_a_link_and_its_limits_are_parted() -> None:
    limits = [
        HealthLimit(curve="llm_mean", verdict="fail", reason=why, value=0, ci=(0, 0), limit=1) for why in ("one", "two")
    ]
    assert verdicts._with_limits("fail", "less", limits) == ("fail", "less; one; two")
    assert verdicts._with_limits("pass", "more", limits) == ("fail", "one; two")
