"""What is required of the answer: judged by its interval, a check of its own, named in every output."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.baselines.outcome import brief_outcome, decided, gate_verdicts
from medprobe.diagnostics.checks import check_least
from medprobe.diagnostics.judgement import by_class
from medprobe.diagnostics.judgement.least import judge
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.records.least import check_names
from medprobe.diagnostics.records.scores import Measured
from medprobe.diagnostics.required import least_names, required_of, spoken
from medprobe.plugins.allure.content import description, steps
from medprobe.plugins.report.outputs.markdown import row
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.run import ci
from medprobe.plugins.run.properties import found as properties
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_ci import call_of

NAME, CHECK = "sensitivity.malignant", "least_sensitivity_malignant"


def judged(ci, value=0.85, least=0.8, name=NAME):
    (criterion,) = judge({name: least}, {name: Measured(value=value, ci=ci)})
    return criterion


def required(ci):
    return samples.healthy().model_copy(update={"least": [judged(ci)]})


@pytest.mark.parametrize(
    ("ci", "verdict"),
    [((0.8, 0.9), "pass"), ((0.799, 0.9), "inconclusive"), ((0.7, 0.8), "inconclusive"), ((0.7, 0.799), "fail")],
)
def test_a_criterion_turns_at_its_bounds(ci, verdict):
    assert judged(ci).verdict == verdict


def test_what_could_not_be_measured_is_undecided():
    (criterion,) = judge({"auroc.a": 0.8}, {"auroc.a": Measured(reason="one class only")})
    assert criterion.verdict == "inconclusive"
    assert criterion.reason == "AUROC for a could not be measured (one class only), at least 0.8 is required"
    assert judge({NAME: 0.8}, {})[0].verdict == "inconclusive"


def test_a_share_is_told_in_percent_and_a_score_as_it_is():
    assert (
        judged((0.9, 0.95), 0.925).reason
        == "sensitivity for malignant 92.5 percent (90.0 to 95.0), at least 80 as required"
    )
    assert judged((0.6, 0.7), 0.65, name="auroc").reason == "AUROC 0.650 (0.600 to 0.700), less than the 0.8 required"


def test_the_check_passes_fails_or_skips():
    check_least(required((0.81, 0.9)), CHECK, fail_inconclusive=True)
    with pytest.raises(AssertionError) as raised:
        check_least(required((0.6, 0.7)), CHECK, fail_inconclusive=False)
    assert str(raised.value) == (
        "[least_sensitivity_malignant] phantom on phantom: sensitivity for malignant 85.0 percent (60.0 to 70.0), "
        "less than the 80 required"
    )
    with pytest.raises(pytest.skip.Exception, match=r"^\[inconclusive\] phantom on phantom: sensitivity for malignant"):
        check_least(required((0.7, 0.9)), CHECK, fail_inconclusive=False)
    with pytest.raises(AssertionError, match=r"^\[least_sensitivity_malignant\] \[inconclusive\] "):
        check_least(required((0.7, 0.9)), CHECK, fail_inconclusive=True)


def test_a_criterion_that_fails_decides_the_run_and_is_named(tmp_path):
    diagnosis = required((0.6, 0.7))
    report = samples.report(diagnosis)
    told = "sensitivity for malignant 85.0 percent (60.0 to 70.0), less than the 80 required"
    assert report.verdict == "fail"
    assert decided(report) == f"by what is required: {told}; the absolute gate says pass"
    assert brief_outcome(report) == f"fail, {told}"
    assert f"required: fail: {told}" in " ".join(" ".join(summary_lines(report)).split())
    assert dict(properties(diagnosis))["least.sensitivity.malignant"] == "fail"
    assert "less than the 80 required" in row(diagnosis)
    assert [step.verdict for step in steps(CHECK, diagnosis)] == ["fail"]
    assert "less than the 80 required." in description(CHECK, diagnosis)
    assert "less than the 80 required." in write_pages(report, tmp_path)[1].read_text("utf-8")
    (line,) = ci.commands(report, call_of())
    assert line.startswith("::error")


@pytest.mark.parametrize(("strict", "level"), [(False, "::warning"), (True, "::error")])
def test_an_undecided_criterion_is_a_warning_or_red(strict, level):
    (line,) = ci.commands(samples.report(required((0.7, 0.9))), call_of(fail_inconclusive=strict))
    assert line.startswith(level)


def test_the_gate_of_least_alone_hears_no_link():
    diagnosis = samples.llm_fail().model_copy(update={"least": [judged((0.81, 0.9))]})
    assert gate_verdicts(diagnosis, "least") == {"least": "pass"}
    report = samples.report(diagnosis).model_copy(update={"gate": "least", "verdict": "pass"})
    assert decided(report) == "by what is required; the absolute gate, which was not asked, says fail"
    assert not ci.commands(report, call_of(gate="least"))


def test_what_is_required_is_read_by_patients():
    """40 patients of ten images each, read alike: 92.5 percent do not show 85."""
    labels, groups = np.arange(80) // 40, np.arange(80)
    patient = np.where(groups % 40 < 3, 1 - labels, labels)

    def verdict(images, grouped):
        told = by_class.read(np.repeat(labels, images), grouped, {"answer": np.repeat(patient, images)}, ["a", "b"], 0)[
            "sensitivity"
        ]["answer"]["b"]
        return judge({"sensitivity.b": 0.85}, {"sensitivity.b": Measured(value=told.value, ci=told.ci)})[0].verdict

    assert verdict(10, np.repeat(groups, 10)) == "inconclusive"
    assert verdict(10, np.arange(800)) == "pass"


def test_every_measure_that_may_be_required_is_measured():
    diagnosis = samples.connector_fail()
    asked = {name for name in least_names(diagnosis.classes) if not name.startswith("operating_point.")}
    assert asked <= set(measures(diagnosis))
    assert "operating_point.specificity.pneumonia" in measures(diagnosis)


def test_a_class_is_found_whatever_its_case_and_before_the_default():
    asked = {
        "sensitivity.malignant": 0.9,
        "sensitivity.default": 0.5,
        "sensitivity.nodule": 0.4,
        "auroc": 0.7,
        "brier": 0.1,
    }
    found, unknown = required_of(asked, ["Normal", "Malignant"])
    assert found == {"auroc": 0.7, "sensitivity.Normal": 0.5, "sensitivity.Malignant": 0.9}
    assert unknown == ["sensitivity.nodule", "brier"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("auroc", "AUROC"),
        ("quadratic_kappa", "quadratic kappa"),
        ("average_precision.grade 1.5", "average precision for grade 1.5"),
        ("operating_point.specificity.a.b", "specificity at the operating point for a.b"),
    ],
)
def test_a_measure_is_named_in_words(name, said):
    assert spoken(name) == said


@given(st.lists(st.text(max_size=12), unique=True, max_size=6))
def test_every_criterion_has_a_check_of_its_own_that_can_be_named(classes):
    names = check_names(f"sensitivity.{name}" for name in classes)
    assert len(set(names)) == len(classes)
    assert all(re.fullmatch(r"least\w*", name) for name in names)
