"""The comparison itself, on simulated predictions of patients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.baselines import sentences
from medprobe.diagnostics.baselines.baseline import BaselineError, Match, Saved
from medprobe.diagnostics.baselines.criteria import Accepted
from medprobe.diagnostics.baselines.regression import compare, made_otherwise, record
from medprobe.diagnostics.records.chain import CHAIN, STAGES, HealthLimit, Stage
from medprobe.diagnostics.records.regression import Change
from medprobe.diagnostics.records.report import Predictions
from medprobe.diagnostics.thresholds import Margins

LOCI = (("vision", 0, "mean"), ("vision", 1, "mean"), ("connector", 0, "mean"), ("llm", 0, "mean"), ("llm", 0, "last"))
MINIMUM = 0.02
MARGINS = Margins(MINIMUM, {"default": 0.05}, {"default": 0.05}, places=STAGES)
"""Every place decides."""
ANSWER = replace(MARGINS, places=("answer",))
N_FOLD_SEEDS = 5
PROBED = ("vision", "connector", "llm")


def predictions(truth, patient, places, **changed):
    values: dict[str, Any] = {
        "model": "m",
        "dataset": "d",
        "data_fingerprint": "f",
        "prompt": "p",
        "probe": "ridge",
        "classes": ["a", "b", "c"],
        "images": [f"{i:05d}" for i in range(len(truth))],
        "labels": list(map(int, truth)),
        "groups": list(map(int, patient)),
        "places": {place: list(map(int, places)) for place in CHAIN},
        "exits": {stage: [list(map(int, places))] * N_FOLD_SEEDS for stage in PROBED},
        "loci": {},
        "made": {"device": "cpu", "dtype": "float32", "batch_size": "16"},
    }
    values |= changed
    likeliest = np.eye(len(values["classes"]) + 1)[values["places"]["answer"]][:, :-1]
    return Predictions(**{"options": likeliest.tolist()} | values)


def patients(n, images_each):
    """Labels and groups; a patient has one class."""
    return np.repeat(np.arange(n) % 3, images_each), np.repeat(np.arange(n), images_each)


def read(labels, groups, accuracy, rng, shared=0.5):
    """Predictions whose errors a patient's images share in part."""
    patient = rng.random(groups.max() + 1)[groups]
    draw = np.where(rng.random(len(labels)) < shared, patient, rng.random(len(labels)))
    return np.where(draw < accuracy, labels, (labels + 1) % 3)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(6, 40), each=st.integers(1, 4), accuracy=st.floats(0, 1), seed=st.integers(0, 1000))
def test_identical_predictions_never_regress(n, each, accuracy, seed):
    labels, groups = patients(n, each)
    one = predictions(labels, groups, read(labels, groups, accuracy, np.random.default_rng(seed)))
    for found in compare(one, one, MARGINS).exits.values():
        assert (found.verdict, found.change, found.ci, found.p) == ("not_regressed", 0, (0, 0), 1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_order_of_images_and_names_of_groups_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels, groups = patients(30, 3)
    was, now = (read(labels, groups, a, rng) for a in (0.9, 0.7))
    order = rng.permutation(len(labels))
    before = predictions(labels, groups, was)
    moved = before.model_copy(
        update={
            "images": [before.images[i] for i in order],
            "labels": [before.labels[i] for i in order],
            "places": {place: [values[i] for i in order] for place, values in before.places.items()},
            "exits": {stage: [[values[i] for i in order] for values in seeds] for stage, seeds in before.exits.items()},
        }
    )
    after = predictions(labels, groups, now)
    assert compare(moved, after, MARGINS) == compare(before, after, MARGINS)


@pytest.mark.slow
def test_a_loss_of_five_points_is_found_with_enough_images():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels, groups = patients(1500, 2)
        was = read(labels, groups, 0.9, rng)
        # 5 points of signal are 3.3 of balanced accuracy with three classes.
        lost = (rng.random(len(labels)) < 0.0333 / 0.9) & (was == labels)
        now = np.where(lost, (labels + 2) % 3, was)
        found.append(
            compare(predictions(labels, groups, was), predictions(labels, groups, now), MARGINS).exits["answer"]
        )
    assert sum(f.verdict == "regressed" for f in found) >= 19
    assert np.mean([f.change for f in found]) == pytest.approx(-0.05, abs=0.004)


def test_noise_under_patient_groups_is_seldom_called_a_regression():
    labels, groups = patients(100, 4)
    called = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one, other = (predictions(labels, groups, read(labels, groups, 0.8, rng)) for _ in range(2))
        called += any(change.verdict == "regressed" for change in compare(one, other, ANSWER).decisive())
    # At 5 percent more than 11 have a chance of 0.4 percent.
    assert called <= 11


def test_an_improvement_is_reported():
    labels, groups = patients(300, 2)
    rng = np.random.default_rng(0)
    was, now = (predictions(labels, groups, read(labels, groups, a, rng)) for a in (0.5, 0.9))
    assert compare(was, now, MARGINS).exits["answer"].verdict == "improved"
    assert compare(now, was, MARGINS).exits["answer"].verdict == "regressed"


def test_few_images_cannot_decide():
    labels, groups = patients(12, 2)
    rng = np.random.default_rng(0)
    was, now = (predictions(labels, groups, read(labels, groups, 0.8, rng)) for _ in range(2))
    assert compare(was, now, MARGINS).exits["answer"].verdict == "inconclusive"


def with_exit(base, stage, seeds):
    return base.model_copy(update={"exits": base.exits | {stage: [list(map(int, values)) for values in seeds]}})


def test_a_probe_exit_is_judged_by_its_mean_over_the_fold_seeds():
    """A probe that falls by 15 points under one fold seed of five has lost 3; the answer is not touched."""
    labels, groups = patients(400, 2)
    base = predictions(labels, groups, labels)
    fallen = np.where(np.arange(len(labels)) % 10 == 0, (labels + 1) % 3, labels)
    found = compare(base, with_exit(base, "connector", [fallen, *[labels] * 4]), MARGINS).exits
    assert found["connector"].change == pytest.approx(-0.15 / 5, rel=1e-3)
    assert found["connector"].ci[0] > -0.05
    assert found["answer"].change == 0
    always = compare(base, with_exit(base, "connector", [fallen] * 5), MARGINS).exits
    assert always["connector"].change == pytest.approx(-0.15, rel=1e-3)
    assert {stage: c.verdict for stage, c in always.items()} == dict.fromkeys(CHAIN[1:], "not_regressed") | {
        "connector": "regressed"
    }


def test_fold_seeds_that_waver_make_the_interval_narrower_than_one_of_them():
    """Independent errors under every fold seed: five say more than one."""
    labels, groups = patients(200, 2)
    rng = np.random.default_rng(1)
    was, now = ([read(labels, groups, 0.85, rng, shared=0) for _ in range(5)] for _ in range(2))
    base = predictions(labels, groups, labels)
    five = compare(with_exit(base, "llm", was), with_exit(base, "llm", now), MARGINS).exits["llm"]
    same = compare(with_exit(base, "llm", was[:1] * 5), with_exit(base, "llm", now[:1] * 5), MARGINS).exits["llm"]
    assert np.diff(five.ci) < 0.6 * np.diff(same.ci)


def recorded(was, now, limits=None, margins=MARGINS):
    return record(Match(file="b.json", saved=Saved(revision=None, predictions=was)), now, margins, limits)


def test_the_record_names_the_place_that_regressed():
    labels, groups = patients(400, 2)
    base = predictions(labels, groups, labels)
    fallen = np.where(np.arange(len(labels)) % 5 == 0, (labels + 1) % 3, labels)
    found = recorded(base, with_exit(base, "vision", [fallen] * 5))
    assert (found.verdict, found.places, found.undecided, found.improved) == ("regressed", ["vision"], [], [])
    assert found.fold_seeds == N_FOLD_SEEDS
    assert "more than 2 points are lost at the vision exit (-30.0, " in found.reason
    back = recorded(with_exit(base, "vision", [fallen] * 5), base)
    assert (back.verdict, back.places, back.improved) == ("not_regressed", [], ["vision"])
    assert "more is read at the vision exit" in back.reason


@pytest.mark.parametrize(
    ("lost", "alike", "otherwise"), [(0.04, "regressed", "inconclusive"), (0.1, *["regressed"] * 2)]
)
def test_a_baseline_made_otherwise_leaves_a_borderline_loss_undecided(lost, alike, otherwise):
    labels, groups = patients(1200, 1)
    base = predictions(labels, groups, labels)
    # 1.5 points of signal are 1 of balanced accuracy with three classes.
    every = round(1 / (lost / 1.5))
    fallen = predictions(labels, groups, np.where(np.arange(len(labels)) % every == 0, (labels + 1) % 3, labels))
    elsewhere = fallen.model_copy(update={"made": base.made | {"device": "cuda"}})
    assert recorded(base, fallen).verdict == alike
    found = recorded(base, elsewhere)
    assert found.verdict == otherwise
    assert found.made_otherwise == {"device": ("cpu", "cuda")}
    assert (
        "the baseline was made otherwise (device cpu, here cuda), so a regression must exceed 4 points" in found.reason
    )
    assert recorded(base, base.model_copy(update={"made": base.made | {"batch_size": "1"}})).verdict == "not_regressed"


def test_a_drop_of_a_health_score_regresses_by_name():
    labels, groups = patients(600, 1)
    loci = {f"{stage}.{layer}.{r}": labels.tolist() for stage, layer, r in LOCI}
    base = predictions(labels, groups, labels, loci=loci)
    fallen = np.where(np.arange(len(labels)) % 4 == 0, (labels + 1) % 3, labels).tolist()
    worse = base.model_copy(update={"loci": loci | {"vision.1.mean": fallen}})
    assert recorded(base, worse).verdict == "not_regressed"
    found = recorded(base, worse, {"vision": 0.1})
    assert (found.verdict, found.places) == ("regressed", [])
    assert found.health_drops[0].value == pytest.approx(1 - 0.75 * (1 - 0.5 * np.log(1 / 0.75)) * np.exp(-0.2 / 3))
    assert "Feature Health Score of vision dropped by" in found.reason
    assert recorded(base, base, {"vision": 0.1}).verdict == "not_regressed"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"data_fingerprint": "g"}, "data"),
        ({"prompt": "q"}, "prompt"),
        ({"probe": "mlp"}, "probe"),
        ({"classes": ["a", "b", "z"]}, "classes"),
        ({"images": [f"x{i}" for i in range(12)]}, "images"),
        ({"labels": [2, 1, 0] * 4}, "labels"),
        ({"exits": {stage: [[0, 1, 2] * 4] for stage in PROBED}}, "fold seeds"),
    ],
)
def test_what_cannot_be_paired_is_refused(changed, word):
    labels, groups = patients(12, 1)
    with pytest.raises(BaselineError, match=word):
        compare(predictions(labels, groups, labels, **changed), predictions(labels, groups, labels), MARGINS)


def changed(verdict, change=-0.05):
    return Change(change=change, ci=(change - 0.02, change + 0.02), p=0.01, p_adjusted=0.012, verdict=verdict)


ACCEPTED = Accepted(MINIMUM, MINIMUM, 0.01, {})
EVERYWHERE = "the vision exit, the connector exit, the llm exit and the answer"


def reason_of(*verdicts, drops=(), otherwise=None, deciding=STAGES):
    found: dict[Stage, Change] = {stage: changed(v) for stage, v in zip(STAGES, verdicts, strict=True)}
    return sentences.reason(found, {}, {}, list(drops), ACCEPTED, otherwise or {}, deciding)


SAID = "-5.0, -7.0 to -3.0, p 0.012"


def test_a_reason_says_what_was_found_where():
    assert reason_of(*["not_regressed"] * 4) == (
        f"no more than 2 points of signal are lost at {EVERYWHERE}; the answer changed by {SAID}"
    )
    assert reason_of("regressed", "regressed", "inconclusive", "improved") == (
        f"more than 2 points are lost at the vision exit ({SAID}) and the connector exit ({SAID}); "
        f"it cannot be told whether more than 2 points are lost at the llm exit ({SAID}); "
        f"more is read at the answer ({SAID})"
    )
    assert reason_of("improved", *["not_regressed"] * 3) == (
        f"no more than 2 points of signal are lost at {EVERYWHERE}; the answer changed by {SAID}; "
        f"more is read at the vision exit ({SAID})"
    )


def test_a_reason_says_which_scores_dropped_and_how_the_baseline_was_made():
    drops = [
        HealthLimit(curve="vision", verdict=verdict, reason=verdict, value=0, ci=(0, 0), limit=0)
        for verdict in ("pass", "fail", "inconclusive")
    ]
    otherwise = {"batch_size": ("1", "16"), "device": ("cpu", "cuda")}
    assert reason_of(*["not_regressed"] * 4, drops=drops, otherwise=otherwise) == (
        f"no more than 2 points of signal are lost at {EVERYWHERE}; the answer changed by {SAID}; fail; inconclusive; "
        "the baseline was made otherwise (batch size 1, here 16, device cpu, here cuda), "
        "so a regression must exceed 4 points"
    )


def test_what_only_one_run_says_of_how_it_was_made_is_unknown_of_the_other():
    labels, groups = patients(30, 1)
    full = predictions(labels, groups, labels)
    bare = full.model_copy(update={"made": {"dtype": "float32"}})
    differs = {"batch_size": ("16", "unknown"), "device": ("cpu", "unknown")}
    assert made_otherwise(full, bare) == differs
    assert made_otherwise(bare, full) == {name: (b, a) for name, (a, b) in differs.items()}


def test_the_record_names_the_undecided_places_and_the_baseline():
    labels, groups = patients(12, 2)
    rng = np.random.default_rng(0)
    was, now = (predictions(labels, groups, read(labels, groups, 0.8, rng)) for _ in range(2))
    found = record(Match(file="b.json", saved=Saved(revision="r1", predictions=was)), now, MARGINS)
    assert found.undecided == [stage for stage, change in found.exits.items() if change.verdict == "inconclusive"]
    assert "answer" in found.undecided
    assert (found.baseline.file, found.baseline.model, found.baseline.revision) == ("b.json", "m", "r1")


def test_the_seed_decides_the_resamples_of_a_score_and_no_change():
    labels, groups = patients(30, 2)
    rng = np.random.default_rng(0)
    was, now = (
        predictions(labels, groups, read(labels, groups, a, rng), loci={}).model_copy(
            update={"loci": {f"{s}.{n}.{r}": read(labels, groups, a, rng).tolist() for s, n, r in LOCI}}
        )
        for a in (0.85, 0.75)
    )
    match = Match(file="b.json", saved=Saved(revision=None, predictions=was))
    one, again, other = (record(match, now, MARGINS, {"vision": 0.1}, seed) for seed in (3, 3, 4))
    assert one == again
    assert one.exits == other.exits
    assert one.health_drops[0].ci != other.health_drops[0].ci
    assert record(match, now, MARGINS) == record(match, now, MARGINS, None, 0)


def test_a_drop_of_a_health_score_is_resampled_by_patient():
    """Eight images of each patient, read alike, say as much as one of each."""
    labels, groups = patients(90, 8)
    fallen = np.where(groups % 5 == 0, (labels + 1) % 3, labels).tolist()
    loci = {f"{stage}.{layer}.{r}": labels.tolist() for stage, layer, r in LOCI}
    base = predictions(labels, groups, labels, loci=loci)
    worse = base.model_copy(update={"loci": loci | {"vision.1.mean": fallen}})
    alone = {"groups": list(range(len(labels)))}
    grouped = recorded(base, worse, {"vision": 0.1}).health_drops[0].ci
    apart = recorded(base.model_copy(update=alone), worse.model_copy(update=alone), {"vision": 0.1}).health_drops[0].ci
    assert grouped[1] - grouped[0] > 2 * (apart[1] - apart[0])


@pytest.mark.parametrize("fewer", ["baseline", "run"])
def test_images_of_which_one_run_has_more_are_refused(fewer):
    labels, groups = patients(12, 1)
    whole = predictions(labels, groups, labels)
    part = predictions(labels[:9], groups[:9], labels[:9])
    pair = (part, whole) if fewer == "baseline" else (whole, part)
    counts = "9 there, 12 here, 9 in" if fewer == "baseline" else "12 there, 9 here, 9 in"
    with pytest.raises(BaselineError) as raised:
        compare(*pair, MARGINS)
    assert str(raised.value) == (
        f"the baseline of m on d has other images: {counts} both; use the same --max-images, --seed and MEDPROBE_ID_KEY"
    )
