"""The gate of the study is the gate of the suite, its draws are what they say, and its aims hold on other seeds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import gate
from medprobe.diagnostics.baselines.criteria import judged
from medprobe.diagnostics.baselines.regression import compare
from medprobe.diagnostics.records.report import Predictions


def predictions(of, answers):
    return Predictions(
        model="m",
        dataset="d",
        data_fingerprint="",
        prompt="",
        probe="ridge",
        classes=list(of.classes),
        images=[str(row) for row in range(len(of.labels))],
        labels=of.labels.tolist(),
        groups=of.groups.tolist(),
        places={"answer": answers.tolist()},
        exits={stage: [of.labels.tolist()] for stage in ("vision", "connector", "llm")},
        loci={},
        options=np.eye(len(of.classes))[answers].tolist(),
        made={},
    )


@pytest.mark.parametrize("name", ["busi", "covid19-ct"])
def test_many_runs_at_once_have_the_verdicts_of_the_suite(name):
    of, margins = gate.of_published(name), gate.margins_of(name)
    answers = gate.retrained(of, 0.1, {0: 0.08}, 0.5, 6, np.random.default_rng(1))
    tested = gate.Gate(of, margins).tested(*answers)
    verdicts = judged([*tested.values()], twice=False)
    for row, (before, after) in enumerate(zip(*answers, strict=True)):
        found = compare(predictions(of, before), predictions(of, after), margins)
        assert [c.verdict for c in found.decisive()] == [verdict[row] for _, verdict in verdicts]
        assert [c.ci[0] for c in found.decisive()] == pytest.approx([t.low[row] for t, _ in tested.values()])


def test_an_equally_good_reading_is_as_good_in_truth_and_loses_what_it_is_asked_to():
    of = gate.of_published("busi")
    before, after = gate.retrained(of, 0.05, {}, 0.5, 400, np.random.default_rng(2))
    assert np.mean(before == of.labels) == pytest.approx(gate.RECALL, abs=0.004)
    assert np.mean(after == of.labels) == pytest.approx(gate.RECALL, abs=0.004)
    assert np.mean(before != after) == pytest.approx(0.05, abs=0.002)
    before, after = gate.retrained(of, 0.05, {2: 0.1}, 0.5, 400, np.random.default_rng(3))
    lost = (before == of.labels).mean(axis=0) - (after == of.labels).mean(axis=0)
    assert lost[of.labels == 2].mean() == pytest.approx(0.1, abs=0.01)
    assert lost[of.labels != 2].mean() == pytest.approx(0, abs=0.005)


def test_patients_are_those_of_the_published_sets():
    assert {name: len(gate.of_published(name).labels) for name in gate.SETS} == {
        "busi": 780, "covid19-ct": 746, "chest-xray": 5840
    }  # fmt: skip


@pytest.mark.parametrize("name", gate.SETS)
def test_equally_good_checkpoints_are_seldom_called_or_undecided(name):
    """Patients as in `half`. The aims are 5 and 20 percent; at these, more than 17 and 51 of 200 have a chance of 2."""
    of = gate.of_published(name)
    found = gate.Gate(of, gate.margins_of(name)).counted(
        lambda n: gate.retrained(of, 0.05, {}, 0.5, n, np.random.default_rng([4, n])), 200
    )["gate"]
    assert found.get("regressed", 0) <= 17
    assert found.get("inconclusive", 0) <= 51


def test_the_committed_study_meets_its_aims_but_where_it_says_so():
    found = gate.STUDY.found()
    for row in found["equal"]:
        verdicts = row["verdicts"]["gate"]
        assert verdicts.get("regressed", 0) <= 0.05 * row["runs"]
        if row["differing"] == 0.05 and (row["set"], row["dependence"]) != ("covid19-ct", "together"):
            assert verdicts.get("inconclusive", 0) <= 0.2 * row["runs"]
    for row in found["sized"]:
        assert row["half"]["lost"]["regressed"] >= 0.8 * row["runs"] <= row["apart"]["lost"]["regressed"] / 0.8
        assert not any(row[how]["lost"].get("not_regressed", 0) for how in gate.DEPENDENCE)
    assert "met but for covid19-ct together" in gate.STUDY.page.read_text("utf-8")
    for row in found["trades"]:
        assert row["verdicts"]["sensitivity for malignant"]["regressed"] >= 0.9 * row["runs"]
