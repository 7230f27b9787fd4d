"""What pages, terminal and plan say of the regression gate: advice apart, what a set clears, the images needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medprobe.diagnostics.baselines.pooled import pooled
from medprobe.diagnostics.planning.gate import gate_plan, rows
from medprobe.diagnostics.planning.pictures import published
from medprobe.diagnostics.thresholds import load_thresholds
from medprobe.fixtures.datasets import catalog
from medprobe.plugins.allure.content import REGRESSION, steps
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.report.sections.regression import change_rows
from tests.unit.plugins.report import samples


def diagnosis():
    found = samples.regressed()
    lost = found.exits["vision"].model_copy(update={"verdict": "regressed"})
    return (
        samples.everything()
        .diagnoses[0]
        .model_copy(update={"regression": found.model_copy(update={"exits": found.exits | {"vision": lost}})})
    )


def test_a_place_that_advises_says_so_and_is_red_nowhere():
    told = {row[0]: row for row in change_rows(diagnosis())}
    assert told["vision"][-1] == "advises: regressed"
    assert told["vision"][5] == ""
    assert told["answer"][3:] == ("2.0", "2.0", "1,500 normal, 1,234 pneumonia", "0.0004", "regressed")
    first, *_ = steps(REGRESSION, diagnosis())
    assert first.title.startswith("vision: advises, regressed")
    assert first.verdict == "pass"


def test_the_long_summary_says_what_the_set_clears_and_needs():
    report = samples.report(diagnosis())
    long, short = (" ".join(" ".join(summary_lines(report, 200, verbosity)).split()) for verbosity in (1, 0))
    said = (
        "signal of the answer: this set clears losses of 4.3 points and more; 1,500 normal, 1,234 pneumonia images "
        "decide 2 points"
    )
    assert said in long
    assert said not in short
    assert "signal of the vision exit" not in long


def test_several_data_sets_of_a_model_have_a_line_of_their_own():
    one = diagnosis()
    both = [one, one.model_copy(update={"dataset": "second"})]
    report = samples.report(*both).model_copy(update={"pooled": pooled(both)})
    assert f"{one.model} over {one.dataset}, second: regressed: the answer changed by -11.0" in " ".join(
        summary_lines(report, 200, 0)
    )


def test_a_plan_says_what_a_published_set_clears_and_needs():
    found = published(catalog.resolve("busi"), None)
    margins = load_thresholds().margins("m", "busi")
    plans = {plan.criterion: plan for plan in gate_plan(found, margins)}
    assert len(plans) == 1 + 2 * 3
    malignant = plans["sensitivity for malignant"]
    assert (malignant.asked, malignant.has) == (0.02, {"malignant": 210})
    assert malignant.needed["malignant"] > 1000
    assert rows([malignant])[1][:2] == ("busi", "sensitivity for malignant")
    fewer = {p.criterion: p for p in gate_plan(found, replace(margins, changed_answers=0.01))}
    assert fewer["signal"].clears < plans["signal"].clears
    assert not list(gate_plan(published(catalog.resolve("busi"), 100), margins))


def test_patients_of_a_published_set_are_as_counted():
    found = published(catalog.resolve("covid19-ct"), None)
    assert np.bincount(found.labels).tolist() == [349, 397]
    assert len(set(found.groups)) == 213 + 171
