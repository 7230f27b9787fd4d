"""What the remedies come to in words."""

from __future__ import annotations

from typing import get_args

from medprobe.diagnostics.records.answer import RemedyName, Treatment, Treatments
from medprobe.diagnostics.records.chain import Difference
from medprobe.plugins.report.sections.treatments import MEANS, NAMES, SHORT, best, rows, sentence


def trial(name: RemedyName, change: float, helps: bool = True) -> Treatment:
    found = Difference(change=change, ci=(change - 0.1, change + 0.1))
    return Treatment(name=name, signal=change, change=found, helps=helps, passes=0, labelled=False)


def of(*trials: Treatment, lost: float = 0.41) -> Treatments:
    return Treatments(n_images=200, said=0.1, lost=lost, trials=list(trials))


def test_the_simpler_remedy_is_named_where_it_gives_nearly_as_much():
    found = of(trial("calibration", 0.38), trial("llm_probe", 0.41))
    assert sentence(found) == ("calibration gives back 38.0 of 41.0 points (28.0 to 48.0): the options hold the signal")
    found = of(trial("calibration", 0.2), trial("llm_probe", 0.41))
    assert best(found).name == "llm_probe"
    assert MEANS["llm_probe"] in sentence(found)


def test_a_remedy_that_may_be_luck_is_not_named():
    found = of(trial("calibration", 0.5, helps=False), trial("option_order", 0.3))
    assert best(found).name == "option_order"
    assert sentence(of(trial("calibration", 0.5, helps=False))).startswith("none of the 1 remedies tried")
    assert sentence(of(trial("calibration", 0.0, helps=False), lost=-0.01)) == (
        "nothing is lost that a remedy could give back"
    )


def test_what_was_not_tried_is_said():
    untried = Treatment(name="prompts", passes=0, labelled=False, reason="the manifest has no paraphrases")
    assert rows(of(untried))[0][4] == "not tried: the manifest has no paraphrases"
    assert rows(None) == []
    assert set(NAMES) == set(SHORT) == set(get_args(RemedyName))
