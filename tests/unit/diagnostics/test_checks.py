"""What the check makes of a comparison, and which saved run is chosen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from medprobe.diagnostics.baselines.baseline import Baseline, BaselineError, Saved, load, match, target
from medprobe.diagnostics.checks import check, check_regression
from medprobe.diagnostics.records.chain import CHAIN, FAILURE_MODES, FailureMode, FailureModes, Link
from medprobe.diagnostics.records.regression import AurocChange, Compared, Regression
from medprobe.diagnostics.records.report import Diagnosis, Predictions


def compared(verdict):
    return Diagnosis(
        model="m",
        revision=None,
        dataset="d",
        regression=Regression(
            verdict=verdict,
            reason="why",
            places=[],
            undecided=[],
            improved=[],
            baseline=Compared(file="b.json", model="m", revision=None),
            minimum_effect=0.02,
            made_otherwise={},
            fold_seeds=5,
            exits={},
            auroc=AurocChange(before=0.9, after=0.9, change=0.0, ci=(0.0, 0.0)),
            health_drops=[],
        ),
    )


def test_what_did_not_regress_passes():
    check_regression(compared("not_regressed"), fail_inconclusive=True)


def test_a_regression_fails():
    with pytest.raises(AssertionError, match=r"^\[regression\] m on d against m in b.json: regressed: why"):
        check_regression(compared("regressed"), fail_inconclusive=False)


def test_the_undecided_is_a_skip_or_a_failure():
    with pytest.raises(pytest.skip.Exception, match=r"^\[inconclusive\] m on d against m"):
        check_regression(compared("inconclusive"), fail_inconclusive=False)
    with pytest.raises(AssertionError, match=r"^\[regression\] \[inconclusive\] m on d against m"):
        check_regression(compared("inconclusive"), fail_inconclusive=True)


def judged(verdict):
    """A diagnosis whose connector has this verdict."""
    links = {
        mode: Link(
            verdict=verdict if stage == "connector" else "pass",
            reason="why",
            loss=0.123,
            ci=(0.1, 0.15),
            retention=0.5,
            threshold=0.8,
            locus="connector.0.mean",
        )
        for stage, mode in FAILURE_MODES.items()
    }
    return Diagnosis(model="m", revision=None, dataset="d", failure_modes=FailureModes(**links))


CONNECTOR: FailureMode = "connector_fidelity_loss"


@pytest.mark.parametrize("undecided_fails", [True, False])
def test_a_link_that_holds_passes(undecided_fails):
    check(judged("pass"), CONNECTOR, undecided_fails)
    check(judged("fail"), "llm_comprehension_deficit", undecided_fails)


@pytest.mark.parametrize("undecided_fails", [True, False])
def test_a_link_that_loses_fails(undecided_fails):
    with pytest.raises(AssertionError) as raised:
        check(judged("fail"), CONNECTOR, undecided_fails)
    assert str(raised.value) == (
        "[connector_fidelity_loss] m on d: why (loss 12.3 points, 10.0 to 15.0, at connector.0.mean)"
    )


def test_an_undecided_link_is_a_skip_or_a_failure():
    with pytest.raises(pytest.skip.Exception) as raised:
        check(judged("inconclusive"), CONNECTOR, fail_inconclusive=False)
    assert str(raised.value) == "[inconclusive] m on d: why"
    with pytest.raises(AssertionError) as failed:
        check(judged("inconclusive"), CONNECTOR, fail_inconclusive=True)
    assert str(failed.value) == "[connector_fidelity_loss] [inconclusive] m on d: why"


def saved(folder: Path, day: int, *models: str) -> Path:
    whole = Baseline(
        saved=datetime(2030, 1, day, tzinfo=UTC),
        versions={},
        diagnoses=[
            Saved(
                revision=str(day),
                predictions=Predictions(
                    model=model,
                    dataset="d",
                    data_fingerprint="f",
                    prompt="p",
                    probe="ridge",
                    classes=["a", "b"],
                    images=["x"],
                    labels=[0],
                    groups=[0],
                    places={place: [0] for place in CHAIN},
                    exits={},
                    loci={},
                    options=[[0, -1]],
                    made={},
                ),
            )
            for model in models
        ],
    )
    path = target(folder, whole.saved)
    path.write_text(whole.model_dump_json(), "utf-8")
    return path


def test_a_folder_gives_the_newest_run_of_the_model(tmp_path):
    saved(tmp_path, 3, "m")
    saved(tmp_path, 2, "m", "n")
    saved(tmp_path, 4, "o")
    assert [m.saved.revision for m in match(tmp_path, [("m", "d"), ("n", "d")])] == ["3", "2"]
    with pytest.raises(BaselineError, match="does not hold q on d; it holds m on d, n on d, o on d"):
        match(tmp_path, [("q", "d")])


def test_a_file_of_one_model_serves_any(tmp_path):
    one, two = saved(tmp_path, 1, "m"), saved(tmp_path, 2, "m", "n")
    assert match(one, [("q", "d")])[0].saved.predictions.model == "m"
    with pytest.raises(BaselineError, match="does not hold q on d"):
        match(two, [("q", "d")])
    with pytest.raises(BaselineError, match="does not hold m on e"):
        match(one, [("m", "e")])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BaselineError, match="holds no"):
        match(tmp_path, [("m", "d")])


def test_a_baseline_without_option_likelihoods_is_refused_in_a_sentence(tmp_path):
    path = saved(tmp_path, 1, "m")
    whole = json.loads(path.read_text("utf-8"))
    del whole["diagnoses"][0]["predictions"]["options"]
    path.write_text(json.dumps(whole), "utf-8")
    with pytest.raises(BaselineError) as refused:
        load(path)
    assert str(refused.value) == (
        f"the baseline {path} cannot be read: wrong at diagnoses.0.predictions.options: Field required; "
        "write it anew with --save-baseline"
    )
