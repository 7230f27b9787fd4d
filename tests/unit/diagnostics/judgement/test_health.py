"""Limits of the Feature Health Scores."""

import numpy as np
import pytest

from medprobe.diagnostics.judgement.health import Scores, curves_of_health, judge_drops, judge_least
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.judgement.verdicts import judge
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.scores import feature_health_score, feature_health_scores
from tests.unit.diagnostics.judgement.test_verdicts import TAU, patients, reading


def scores(n: int = 400, **accuracy: float) -> Scores:
    """Of curves of two layers, all read at 0.9 but for `accuracy` by locus (dots as underscores)."""
    labels, groups = patients(n)
    names = ("vision.0.mean", "vision.1.mean", "connector.0.mean", "llm.0.mean", "llm.0.last")
    loci = {name: reading(labels, accuracy.get(name.replace(".", "_"), 0.9)) for name in names}
    return Scores(loci, labels, Resamples(labels, groups, 2, 0, 1000))


def test_the_connector_s_curve_begins_where_the_tower_s_ends() -> None:
    names = [f"vision.{layer}.mean" for layer in range(4)]
    curves = curves_of_health([*names, "vision.3.grid", "connector.0.mean", "llm.0.mean", "llm.0.last", "llm.1.last"])
    assert curves == {
        "vision": names,
        "connector": ["vision.3.mean", "connector.0.mean"],
        "llm_mean": ["llm.0.mean"],
        "llm_last": ["llm.0.last", "llm.1.last"],
    }


def test_scores_are_those_of_the_curves() -> None:
    found = scores(connector_0_mean=0.7)
    assert found.read("vision") == pytest.approx(0.9)
    assert found.read("connector") == pytest.approx(feature_health_score([0.9, 0.7], 400))
    assert found.record(0.5).answer == 0.5
    np.testing.assert_allclose(
        feature_health_scores(np.array([[0.5, 0.9], [0.9, 0.3]]), 100),
        [feature_health_score([0.5, 0.9], 100), feature_health_score([0.9, 0.3], 100)],
    )


@pytest.mark.parametrize(("limit", "verdict"), [(0.7, "pass"), (0.9, "inconclusive"), (0.99, "fail")])
def test_the_least_is_judged_by_resamples(limit: float, verdict: str) -> None:
    (found,) = judge_least({"llm_last": limit}, scores())
    assert (found.curve, found.verdict, found.limit) == ("llm_last", verdict, limit)
    assert found.ci[0] < 0.9 < found.ci[1]
    about = {"pass": "at least", "fail": "less than", "inconclusive": "these images cannot tell whether at least"}
    assert found.reason == f"Feature Health Score of llm_last 0.90, {about[verdict]} {limit:g}"


@pytest.mark.parametrize(("limit", "verdict"), [(0.5, "pass"), (0.27, "inconclusive"), (0.1, "fail")])
def test_a_drop_is_paired(limit: float, verdict: str) -> None:
    before, after = scores(), scores(vision_1_mean=0.75)
    (found,) = judge_drops({"vision": limit}, before, after)
    assert found.verdict == verdict
    assert found.value == pytest.approx(before.read("vision") - after.read("vision"))
    about = {"pass": "no more than", "fail": "more than", "inconclusive": "these images cannot tell whether over"}
    assert found.reason == f"Feature Health Score of vision dropped by {found.value:.2f}, {about[verdict]} {limit:g}"
    (same,) = judge_drops({"vision": limit}, before, before)
    assert (same.verdict, same.ci) == ("pass", (0, 0))


def test_a_link_takes_the_verdict_of_its_limited_score_and_names_it() -> None:
    labels, groups = patients(400)
    resamples = Resamples(labels, groups, 2, 0, 1000)
    places = dict.fromkeys(CHAIN, reading(labels, 0.9))
    limits = judge_least({"llm_mean": 1.2, "vision": 0.5}, scores())
    found = judge(labels, places, TAU, resamples, 2, 0.01, limits)
    assert [link.verdict for link in found.links.values()] == ["pass", "pass", "fail", "pass"]
    assert found.links["llm"].reason == "Feature Health Score of llm_mean 0.90, less than 1.2"
    assert found.primary == "llm_comprehension_deficit"
    unread = judge(labels, places, TAU, resamples, 2, 0.4, limits)
    assert {link.verdict for link in unread.links.values()} == {"inconclusive"}
