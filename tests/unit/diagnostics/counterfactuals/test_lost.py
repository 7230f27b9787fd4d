"""When other inputs are asked: where a loss is, whether one link fails or several share it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from medprobe.diagnostics.counterfactuals.lost import PROBED, lost_before
from medprobe.diagnostics.judgement.resamples import Resamples
from medprobe.diagnostics.judgement.verdicts import judge
from medprobe.diagnostics.records.chain import Stage

N_GROUPS, K = 60, 3
TAUS: dict[Stage, float] = {"vision": 0.75, "connector": 0.8, "llm": 0.8, "answer": 0.8}


def asked(wrong: dict[str, float], null_p: float = 0.001, n_groups: int = N_GROUPS) -> tuple[tuple[str, ...], Any]:
    """The places that the answers fall short of, none where no other input is asked, and the judgement. `wrong` has the
    share of the images that is read wrongly at each place."""
    labels = np.repeat(np.arange(n_groups) % K, 2)
    groups = np.repeat(np.arange(n_groups), 2)
    order = np.random.default_rng(0).random(n_groups)[groups]
    read = {place: np.where(order < share, (labels + 1) % K, labels) for place, share in wrong.items()}
    resamples = Resamples(labels, groups, K, 0)
    judged = judge(labels, read, TAUS, resamples, K, null_p)
    evidence: Any = SimpleNamespace(resamples=resamples, predictions=read)
    return lost_before(evidence, judged), judged


SOUND = {"reference": 0.03, "vision": 0.05, "connector": 0.05, "llm": 0.05, "answer": 0.05}


def test_nothing_is_asked_of_a_sound_model() -> None:
    assert not asked(SOUND)[0]


@pytest.mark.parametrize("place", ["vision", "connector", "llm", "answer"])
def test_a_failing_link_is_a_loss(place: str) -> None:
    after = list(SOUND)[list(SOUND).index(place) :]
    found, judged = asked(SOUND | dict.fromkeys(after, 0.6))
    assert found == (("reference",) if place == "vision" else PROBED)
    assert judged.links[place].verdict == "fail"


def test_a_loss_that_several_links_share_is_one() -> None:
    found, judged = asked(SOUND | {"connector": 0.14, "llm": 0.24, "answer": 0.34})
    assert {link.verdict for link in judged.links.values()} <= {"pass", "inconclusive"}
    assert found == PROBED


def test_a_loss_at_the_tower_that_is_left_undecided_is_seen_from_the_reference() -> None:
    """The tower reads the wrong input no better than the answer: no probed place shows that anything is lost."""
    found, judged = asked({"reference": 0.03} | dict.fromkeys(("vision", "connector", "llm", "answer"), 0.18))
    assert judged.links["vision"].verdict == "inconclusive"
    assert found == ("reference",)


@pytest.mark.parametrize(("wrong", "lost"), [(0.04, False), (0.1, True)])
def test_from_half_of_what_the_answers_link_may_lose(wrong: float, lost: bool) -> None:
    """The threshold of 80 percent leaves 20 points of 100 to lose, and half of them are 10."""
    found, judged = asked(dict.fromkeys(SOUND, 0.0) | {"answer": wrong}, n_groups=300)
    assert judged.links["answer"].verdict != "fail"
    assert bool(found) is lost


def test_images_that_do_not_carry_the_labels_show_no_loss() -> None:
    assert not asked(SOUND | {"connector": 0.14, "llm": 0.24, "answer": 0.34}, null_p=0.5)[0]
