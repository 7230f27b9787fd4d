"""Verdicts from made-up predictions."""

import numpy as np
import pytest
from numpy.typing import NDArray

from medprobe.diagnostics.judgement.resamples import Resamples, interval
from medprobe.diagnostics.judgement.verdicts import Judgement, judge
from medprobe.diagnostics.records.chain import CHAIN, Stage

Ints = NDArray[np.int64]
TAU: dict[Stage, float] = {"vision": 0.75, "connector": 0.8, "llm": 0.8, "answer": 0.8}
FAR_DOWN = (0.95, 0.95, 0.95, 0.95, 0.95)


def patients(n: int, k: int = 2) -> tuple[Ints, Ints]:
    groups = np.arange(n)
    return groups % k, groups


def reading(labels: Ints, right: float, k: int = 2) -> Ints:
    """Predictions of which the share `right` of every class is right, the same images whatever the share."""
    predictions = labels.copy()
    for c in range(k):
        rows = np.flatnonzero(labels == c)
        predictions[rows[round(right * len(rows)) :]] = (c + 1) % k
    return predictions


def judged(rights: tuple[float, ...], n: int = 400, k: int = 2, null_p: float = 0.01) -> Judgement:
    labels, groups = patients(n, k)
    predictions = {place: reading(labels, right, k) for place, right in zip(CHAIN, rights, strict=True)}
    return judge(labels, predictions, TAU, Resamples(labels, groups, k, 0, 1000), k, null_p)


def test_a_chain_that_loses_nothing_passes() -> None:
    found = judged(FAR_DOWN)
    assert found.verdict == "pass"
    assert found.primary is None
    assert {link.verdict for link in found.links.values()} == {"pass"}
    assert found.links["llm"].retention == pytest.approx(1)
    assert found.signal["answer"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("stage", "mode"),
    [
        ("vision", "visual_representation_quality"),
        ("connector", "connector_fidelity_loss"),
        ("llm", "llm_comprehension_deficit"),
        ("answer", "semantic_mapping_misalignment"),
    ],
)
def test_the_link_that_loses_is_named(stage: Stage, mode: str) -> None:
    at = CHAIN.index(stage)
    found = judged(tuple(0.95 if i < at else 0.7 for i in range(5)))
    assert found.verdict == "fail"
    assert found.primary == mode
    assert found.tied == []
    assert found.links[stage].loss == pytest.approx(0.5)
    low, high = found.links[stage].ci
    assert low < 0.5 < high
    assert [s for s, link in found.links.items() if link.verdict == "fail"] == [stage]


def test_losses_add_up() -> None:
    found = judged((0.95, 0.9, 0.8, 0.75, 0.6))
    assert sum(link.loss for link in found.links.values()) == pytest.approx(
        found.signal["reference"] - found.signal["answer"]
    )


def test_two_equal_losses_are_tied() -> None:
    found = judged((1.0, 0.8, 0.8, 0.6, 0.6))
    assert found.verdict == "fail"
    assert found.primary is None
    assert sorted(found.tied) == ["llm_comprehension_deficit", "visual_representation_quality"]


def test_of_two_failing_links_the_clearly_larger_is_named() -> None:
    found = judged((0.99, 0.65, 0.65, 0.57, 0.57), n=2000)
    assert found.links["vision"].verdict == found.links["llm"].verdict == "fail"
    assert found.primary == "visual_representation_quality"


def test_few_images_cannot_tell() -> None:
    found = judged((0.9, 0.8, 0.8, 0.8, 0.8), n=40)
    assert found.links["vision"].verdict == "inconclusive"
    assert "cannot tell" in found.links["vision"].reason
    assert found.verdict == "inconclusive"
    assert found.minimum_loss > judged((0.9, 0.8, 0.8, 0.8, 0.8), n=400).minimum_loss > 0


def test_nothing_is_left_to_lose_after_a_total_loss() -> None:
    found = judged((0.95, 0.95, 0.5, 0.5, 0.5))
    assert found.primary == "connector_fidelity_loss"
    after: tuple[tuple[Stage, str], ...] = (("llm", "connector"), ("answer", "llm"))
    for stage, place in after:
        assert found.links[stage].verdict == "inconclusive"
        assert found.links[stage].reason == f"nothing left to lose: the {place} holds no signal above chance"
        assert found.links[stage].retention is None


@pytest.mark.parametrize("null_p", [0.02, 0.5])
def test_a_reference_not_above_the_null_decides_nothing(null_p: float) -> None:
    found = judged((0.95, 0.95, 0.5, 0.5, 0.5), null_p=null_p)
    assert found.verdict == "inconclusive"
    assert all("do not carry the labels" in link.reason for link in found.links.values())
    assert {link.verdict for link in found.links.values()} == {"inconclusive"}


def test_a_reference_at_chance_decides_nothing() -> None:
    found = judged((0.52, 0.5, 0.5, 0.5, 0.5), null_p=0.001)
    assert {link.verdict for link in found.links.values()} == {"inconclusive"}
    assert all(link.reason.endswith("which may be chance") for link in found.links.values())


def test_unreadable_answers_count_as_wrong() -> None:
    labels, groups = patients(400)
    predictions = dict.fromkeys(CHAIN, reading(labels, 0.95))
    predictions["answer"] = np.full_like(labels, -1)
    found = judge(labels, predictions, TAU, Resamples(labels, groups, 2, 0, 1000), 2, 0.01)
    assert found.primary == "semantic_mapping_misalignment"
    assert found.signal["answer"] == pytest.approx(-1)
    assert found.links["answer"].retention == 0


def test_resamples_are_paired() -> None:
    labels, groups = patients(100)
    same = Resamples(labels, groups, 2, 0, 500)
    a, b = reading(labels, 0.9), reading(labels, 0.7)
    np.testing.assert_array_equal(same.signal(a), same.signal(a.copy()))
    np.testing.assert_array_equal(same.signal(a), Resamples(labels, groups, 2, 0, 500).signal(a))
    unpaired = np.hypot(same.signal(a).std(), same.signal(b).std())
    assert (same.signal(a) - same.signal(b)).std() < 0.95 * unpaired
    assert (same.signal(a) >= same.signal(b)).all()


def test_resamples_are_of_groups_not_images() -> None:
    """Ten images of each patient, read alike, tell no more than one."""
    rng = np.random.default_rng(0)
    labels, groups = patients(60)
    wrong = rng.random(60) < 0.2
    one = Resamples(labels, groups, 2, 0, 2000).balanced_accuracy(np.where(wrong, 1 - labels, labels)).std()
    many_labels, many_groups = np.repeat(labels, 10), np.repeat(groups, 10)
    predictions = np.where(np.repeat(wrong, 10), 1 - many_labels, many_labels)
    many = Resamples(many_labels, many_groups, 2, 0, 2000).balanced_accuracy(predictions).std()
    assert many == pytest.approx(one, rel=0.05)


def test_rows_of_predictions_are_resampled_as_each_alone() -> None:
    labels, groups = patients(30, 3)
    same = Resamples(labels, groups, 3, 0, 200)
    rows = np.stack([reading(labels, right, 3) for right in (0.5, 0.9)])
    for drawn, row in zip(same.signal(rows), rows, strict=True):
        np.testing.assert_allclose(drawn, same.signal(row))


def test_groups_of_several_labels_count_in_each_class() -> None:
    labels = np.tile([0, 1], 30)
    same = Resamples(labels, np.repeat(np.arange(15), 4), 2, 0, 500)
    low, high = interval(same.signal(reading(labels, 0.8)))
    assert low < 0.6 < high


@pytest.mark.parametrize("n_groups", [3, 5, 8])
def test_few_groups_read_perfectly_show_little(n_groups: int) -> None:
    """Nothing is lost and nothing can be said: an interval without width would be a lie."""
    found = judged((1.0,) * 5, n=2 * n_groups)
    assert {link.verdict for link in found.links.values()} == {"inconclusive"}
    assert found.links["llm"].ci[1] - found.links["llm"].ci[0] > 4 / n_groups
    assert found.signal_ci["llm"][0] < 0.7
    assert found.signal_ci["llm"][1] == 1
    assert found.minimum_loss > 0.4


@pytest.mark.parametrize(("k", "least"), [(2, 14), (3, 7)])
def test_a_perfect_chain_passes_from_so_many_groups_on(k: int, least: int) -> None:
    """The figures of docs/reference/limits.md."""
    assert judged((1.0,) * 5, n=k * (least - 2), k=k).links["llm"].verdict == "inconclusive"
    assert judged((1.0,) * 5, n=k * (least + 2), k=k).links["llm"].verdict == "pass"


def test_where_too_few_groups_decide_nothing_the_reason_says_so() -> None:
    said = judged((1.0,) * 5, n=20).links["llm"].reason
    assert said.endswith("handed on, since 10 patient groups of a class could not show it even if nothing were lost")
    assert "groups" not in judged((0.9, 0.8, 0.8, 0.8, 0.8), n=60).links["vision"].reason


@pytest.mark.parametrize("n_groups", [20, 75])
def test_groups_that_all_agree_are_bounded_by_the_rule_of_three(n_groups: int) -> None:
    """With n groups read alike, a loss of 3.7 / n is excluded at 2.5 percent: 1 - 0.025 ** (1 / n)."""
    labels, groups = patients(2 * n_groups)
    same = Resamples(labels, groups, 2, 0)
    low, high = interval(same.signal(labels, "before") - same.signal(labels, "after"))
    assert high == pytest.approx(1 - 0.025 ** (1 / n_groups), rel=0.15)
    assert low == pytest.approx(-high, rel=0.15)


def test_one_group_among_many_images_decides_nothing() -> None:
    """Forty images of one patient and one each of four others: one patient's luck."""
    groups = np.repeat(np.arange(10), [40, 1, 1, 1, 1] * 2)
    labels = (groups >= 5).astype(np.int64)
    wrong = np.isin(groups, [1, 6])
    low, high = interval(Resamples(labels, groups, 2, 0).signal(np.where(wrong, 1 - labels, labels)))
    assert high - low > 0.8


def test_many_groups_are_resampled_as_ever() -> None:
    """Within a tenth of the plain bootstrap's width, 100 groups of a class."""
    labels, groups = patients(200)
    predictions = reading(labels, 0.8)
    drawn = np.random.default_rng(0).binomial(100, 0.8, (2, 20000)).mean(axis=0) / 100 * 2 - 1
    plain, now = interval(drawn), interval(Resamples(labels, groups, 2, 0).signal(predictions))
    assert 1 <= (now[1] - now[0]) / (plain[1] - plain[0]) < 1.1


def test_intervals_cover() -> None:
    """Of 95 percent intervals of an accuracy of 0.8 about that share holds it."""
    rng = np.random.default_rng(0)
    labels, groups = patients(200)
    held = 0
    for seed in range(100):
        predictions = np.where(rng.random(200) < 0.8, labels, 1 - labels)
        low, high = interval(Resamples(labels, groups, 2, seed, 400).balanced_accuracy(predictions))
        held += low <= 0.8 <= high
    assert 87 <= held <= 99


def test_an_interval_is_central() -> None:
    assert interval(np.arange(1001, dtype=float)) == (25.0, 975.0)
