"""Strata that lie below the rest are named, shortcuts are, and healthy strata are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.records.subgroups import Strata
from medprobe.diagnostics.subgroups.cells import Cells
from medprobe.diagnostics.subgroups.reading import holm, read_strata, rounded
from tests.unit.diagnostics.subgroups.simulated import CLASSES, simulated


def verdicts(kind, seed=0, margin=0.1):
    found = read_strata(*simulated(kind, seed), margin)
    gaps = {(a.name, s.value, g.of): g.verdict for a in found.each for s in a.strata for g in s.gaps}
    return found, gaps, {a.name: a.shortcut.verdict for a in found.each}


def test_healthy_strata_pass_where_there_are_enough_patients():
    found, gaps, shortcuts = verdicts("healthy", margin=0.25)
    assert set(gaps.values()) == set(shortcuts.values()) == {found.verdict} == {"pass"}
    assert "no stratum lies more than 25 points below the rest" in found.reason


@pytest.mark.parametrize("kind", ["sex", "split"])
def test_a_fault_of_one_sex_is_named_and_nothing_else(kind):
    found, gaps, shortcuts = verdicts(kind)
    failing = {key for key, verdict in gaps.items() if verdict == "fail"}
    assert failing == {("sex", "female", None), ("sex", "female", "benign"), ("sex", "female", "malignant")}
    assert "fail" not in shortcuts.values()
    assert (found.worst.attribute, found.worst.value) == ("sex", "female")
    assert "sex female 0.0 percent" in found.reason


def test_an_answer_that_follows_the_scanner_is_a_shortcut():
    found, _, shortcuts = verdicts("shortcut")
    assert shortcuts == {"scanner": "fail", "sex": "pass"}
    assert found.reason.startswith("shortcut by scanner: the answer reads ")
    within = found.each[1].shortcut.within
    assert within["answer"].value == pytest.approx(0, abs=1e-9)
    assert within["vision"].value == pytest.approx(1)


def test_a_scanner_that_goes_with_the_class_is_none_where_the_answer_does_not_follow_it():
    _, gaps, shortcuts = verdicts("associated", margin=0.25)
    assert set(shortcuts.values()) == {"pass"}
    assert "fail" not in gaps.values()


def test_a_small_stratum_is_counted_and_not_judged():
    read, _ = simulated("healthy")
    codes = np.ones(len(read.labels), dtype=int)
    malignant = np.flatnonzero(read.labels == 2)
    codes[malignant[:18]] = 0  # nine patients
    codes[np.flatnonzero(read.labels != 2)[:200]] = 0
    found = read_strata(read, {"site": Strata(values=["A", "B"], codes=codes.tolist())}, 0.1)
    site, other = found.each[0].strata
    assert not site.gaps
    assert not other.gaps
    assert not site.signal
    assert set(site.sensitivity) == {"normal", "benign"}
    assert set(other.sensitivity) == set(CLASSES)
    assert found.verdict == "inconclusive"
    assert "no stratum has 10 patients of each class" in found.reason


def test_fewer_than_ten_patients_are_no_stratum_at_all():
    read, _ = simulated("healthy")
    codes = np.ones(len(read.labels), dtype=int)
    codes[:18] = 0
    found = read_strata(read, {"site": Strata(values=["A", "B"], codes=codes.tolist())}, 0.1)
    assert [stratum.value for stratum in found.each[0].strata] == ["B"]
    assert '"A"' not in found.model_dump_json()


def test_counts_are_rounded():
    found, *_ = verdicts("healthy")
    counts = [n for one in found.each for s in one.strata for n in (s.n_groups, s.n_images)]
    assert all(count % 5 == 0 for count in counts)
    assert [rounded(n) for n in (12, 13, 17, 18)] == [10, 15, 15, 20]


def test_a_shortcut_is_named_where_no_stratum_is_large_enough_to_be_judged():
    read, _ = simulated("healthy")
    few = np.isin(read.groups, np.arange(0, 120))
    patients = read.groups[few]
    scanner = np.where(patients < 90, patients % 3, (patients + 1 + patients // 3 % 2) % 3)
    read = replace(read, labels=read.labels[few], groups=patients, places=dict.fromkeys(read.places, scanner))
    found = read_strata(read, {"scanner": Strata(values=["A", "B", "C"], codes=scanner.tolist())}, 0.1)
    assert found.worst is None
    assert found.verdict == "fail"
    assert found.reason.startswith("shortcut by scanner")


def test_no_attribute_no_record():
    read, _ = simulated("healthy")
    assert read_strata(read, {}, 0.1) is None


def test_the_standardised_signal_is_the_signal_where_the_attribute_is_independent():
    read, _ = simulated("healthy")
    codes = np.tile([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1], len(read.labels) // 12)
    cells = Cells(read.labels, read.groups, codes, 3, 0)
    pooled, alike, _, lost = cells.standardised(dict(read.places)).places["answer"]
    assert pooled == pytest.approx(alike)
    assert np.abs(lost).max() < 1e-9


def test_the_standardised_signal_weighs_recalls_by_the_strata_of_all():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1] * 3)
    codes = np.array([0, 0, 0, 1, 0, 1, 1, 1] * 3)
    groups = np.arange(24)
    # Follows the stratum: recall is 1 in (0, 0) and (1, 1), else 0.
    cells = Cells(labels, groups, codes, 2, 0)
    pooled, alike, *_ = cells.standardised({"answer": codes}).places["answer"]
    assert pooled == pytest.approx(2 * 0.75 - 1)
    assert alike == pytest.approx(0)


def test_missing_values_are_left_out():
    read, strata = simulated("sex")
    codes = np.array(strata["sex"].codes)
    codes[codes == 0] = -1
    found = read_strata(read, {"sex": replace_codes(strata["sex"], codes)}, 0.1)
    assert [stratum.value for stratum in found.each[0].strata] == ["male"]
    assert found.each[0].shortcut is None


def replace_codes(strata, codes):
    return strata.model_copy(update={"codes": codes.tolist()})


def test_the_bound_is_that_of_the_margin():
    read, strata = simulated("sex")
    answers = np.where((np.array(strata["sex"].codes) == 0) & (read.labels == 2), read.labels, read.places["answer"])
    low = read_strata(replace(read, places=dict(read.places) | {"answer": answers}), strata, 0.99)
    assert low.verdict == "pass"


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_step_by_step_until_one_is_not(ps):
    adjusted = holm(ps)
    for level in (0.01, 0.05, 0.3):
        rejected, left = set(), sorted(range(len(ps)), key=lambda i: ps[i])
        while left and ps[left[0]] * len(left) < level:
            rejected.add(left.pop(0))
        assert {i for i, p in enumerate(adjusted) if p < level} == rejected
