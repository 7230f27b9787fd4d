"""What a run leaves for machines: outcomes, ids, messages, properties, `report.json`."""

from __future__ import annotations

import hashlib
import json
import shutil
import xml.etree.ElementTree as ElementTree
from datetime import date, timedelta

import jsonschema
import pytest

from medprobe.commands import rejudge
from medprobe.diagnostics.records.chain import FAILURE_MODES
from tests.places import ROOT
from tests.places import SCHEMA as SCHEMA_FILE
from tests.runs.calling import medprobe

MODES = set(FAILURE_MODES.values())
SCHEMA = json.loads(SCHEMA_FILE.read_text("utf-8"))
CONNECTOR = "connector_fidelity_loss"
LLM = "llm_comprehension_deficit"
ELSEWHERE = ("-c", ROOT / "pyproject.toml", ROOT / "diagnostics")


def test_report_follows_its_schema(first):
    jsonschema.validate(first.report, SCHEMA)
    assert set(first.diagnoses) == {("phantom", "small"), ("phantom-connector", "small")}
    assert first.report["verdict"] == "fail"
    assert (first.report_dir / "index.html").is_file()
    assert not (first.report_dir / ".handover").exists()


def test_every_verdict_is_repeated_from_what_was_stored(first, capsys):
    assert rejudge.main([str(first.report_dir)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{model} on small: {first.diagnoses[model, 'small']['verdict']}, repeated"
        for model in ("phantom", "phantom-connector")
    ]
    stored = json.loads((first.report_dir / "phantom-small" / "predictions.json").read_text("utf-8"))
    assert {stage: len(seeds) for stage, seeds in stored["exits"].items()} == {"vision": 1, "connector": 1, "llm": 1}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("failure_modes", CONNECTOR, "verdict"), "inconclusive"),
        (("failure_modes", CONNECTOR, "loss"), 0.123),
        (("primary_failure_mode",), None),
        (("signal_ci", "answer"), [0.0, 1.0]),
        (("curves", "llm_last", 0, "accuracy"), 0.5),
        (("health", "vision"), 2.0),
    ],
)
def test_a_changed_record_is_noticed(first, place, value, tmp_path, capsys):
    report = first.report
    (entry,) = (d for d in report["diagnoses"] if d["model"] == "phantom-connector")
    for key in place[:-1]:
        entry = entry[key]
    entry[place[-1]] = value
    shutil.copytree(first.report_dir, tmp_path / "copy")
    (tmp_path / "copy" / "report.json").write_text(json.dumps(report), "utf-8")
    assert rejudge.main([str(tmp_path / "copy")]) == 1
    out = capsys.readouterr().out
    assert "phantom on small: " in out
    assert "phantom-connector on small: differs\n  " + ".".join(map(str, place[:2])).replace(".0", "[0]") in out


def test_ids_end_in_model_and_data_set(first):
    assert set(first.outcomes()) >= {
        f"test_{mode}[{model}-small]" for mode in MODES for model in ("phantom", "phantom-connector")
    }
    assert all(name.endswith(("[phantom-small]", "[phantom-connector-small]")) for name in first.outcomes())


def test_outcomes_are_the_verdicts(first):
    outcome = {"pass": "PASSED", "fail": "FAILED", "inconclusive": "SKIPPED"}
    for (model, dataset), diagnosis in first.diagnoses.items():
        for mode in MODES:
            expected = outcome[diagnosis["failure_modes"][mode]["verdict"]]
            assert first.outcomes()[f"test_{mode}[{model}-{dataset}]"] == expected
    assert first.code == pytest.ExitCode.TESTS_FAILED


def test_junit_names_model_data_set_and_mode(first):
    cases = list(ElementTree.parse(first.report_dir / "junit.xml").iter("testcase"))
    assert len(cases) == len(first.outcomes()) >= 8
    for case in cases:
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        assert case.get("name") == f"test_{properties['mode']}[{properties['model']}-{properties['dataset']}]"
        diagnosis = first.diagnoses[properties["model"], properties["dataset"]]
        assert properties["verdict"] == diagnosis["verdict"]
        assert properties.get("primary_failure_mode") == diagnosis["primary_failure_mode"]
        assert {name: float(value) for name, value in properties.items() if name.startswith("signal.")} == {
            f"signal.{place}": pytest.approx(value, abs=5e-5) for place, value in diagnosis["signal"].items()
        }
    failed = next(c for c in cases if c.get("name") == f"test_{CONNECTOR}[phantom-connector-small]")
    assert f"[{CONNECTOR}] phantom-connector on small: " in failed.find("failure").get("message")


def test_deselecting_checks_deselects_no_measurement(first, store, small, tmp_path):
    one = medprobe("-k", "connector_fidelity", "-v", "--dataset", small, "--store", store, report_dir=tmp_path)
    assert set(one.outcomes()) == {f"test_{CONNECTOR}[phantom-small]"}
    diagnosis = one.diagnoses["phantom", "small"]
    assert diagnosis["failure_modes"] == first.diagnoses["phantom", "small"]["failure_modes"]


@pytest.mark.parametrize("fails", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_inconclusive_is_a_skip_or_on_request_a_failure(fails, first, store, small, tmp_path):
    """Behind a connector that hands on nothing, the LLM has nothing left to lose."""
    run = medprobe(
        *("--model", "phantom-connector", "--dataset", small, "--store", store, "-k", LLM, "-v", "-rs"),
        *(["--fail-inconclusive"] if fails else []),
        report_dir=tmp_path,
    )
    assert run.diagnoses["phantom-connector", "small"]["failure_modes"][LLM]["verdict"] == "inconclusive"
    outcome = run.outcomes()[f"test_{LLM}[phantom-connector-small]"]
    if fails:
        assert (run.code, outcome) == (1, "FAILED")
        assert f"[{LLM}] [inconclusive] phantom-connector on small" in run.out
    else:
        assert (run.code, outcome) == (0, "SKIPPED")
        assert ": [inconclusive] phantom-connector on small" in run.out


def accepted(model: str, mode: str, until: date) -> str:
    return (
        f'[[accepted]]\nmodel = "{model}"\ndataset = "small"\nmode = "{mode}"\nreason = "known since spring"\n'
        f"until = {until.isoformat()}\n"
    )


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_an_accepted_failure_is_an_xfail_until_its_day(workers, first, store, small, tmp_path):
    tomorrow, yesterday = date.today() + timedelta(2), date.today() - timedelta(2)
    failing = [
        mode
        for mode, link in first.diagnoses["phantom-connector", "small"]["failure_modes"].items()
        if link["verdict"] == "fail"
    ]
    codes = []
    for number, until in enumerate((tomorrow, yesterday)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "medprobe.toml").write_text("".join(accepted("phantom-connector", m, until) for m in failing))
        run = medprobe(
            *(*ELSEWHERE, "--model", "phantom-connector", "--dataset", small, "--store", store, "-v", "-n", workers),
            report_dir=folder / "reports",
            cwd=folder,
        )
        codes.append(run.code)
        expected = "XFAIL" if until == tomorrow else "FAILED"
        assert run.outcomes()[f"test_{CONNECTOR}[phantom-connector-small]"] == expected
        assert run.report["verdict"] == "fail"
    assert codes == [0, 1]


def test_an_accepted_failure_that_passes_is_a_failure(first, store, small, tmp_path):
    (tmp_path / "medprobe.toml").write_text(accepted("phantom", CONNECTOR, date.today() + timedelta(2)))
    run = medprobe(
        *ELSEWHERE, "--dataset", small, "--store", store, "-v", report_dir=tmp_path / "reports", cwd=tmp_path
    )
    assert run.outcomes()[f"test_{CONNECTOR}[phantom-small]"] == "FAILED"
    assert "[XPASS(strict)] known since spring" in run.out


@pytest.mark.parametrize("key", [None, pytest.param("our own secret", marks=pytest.mark.slow)])
def test_an_unreadable_image_is_counted_and_left_out(key, first, store, torn, tmp_path):
    variables = {} if key is None else {"MEDPROBE_ID_KEY": key}
    run = medprobe(*("--dataset", torn, "--store", store, "--max-excluded", "0.05"), report_dir=tmp_path, **variables)
    diagnosis = run.diagnoses["phantom", "torn"]
    assert diagnosis["error"] is None
    assert (diagnosis["n_images"], diagnosis["n_excluded"]) == (47, 1)
    (excluded,) = diagnosis["excluded"]
    torn_bytes = (torn.parent / "images" / "normal" / "patient00003_1.png").read_bytes()
    assert int(excluded["image"], 16)
    if key is not None:
        assert excluded["image"] not in hashlib.sha256(torn_bytes).hexdigest()
    assert "cannot be decoded" in excluded["reason"]
    assert f"left out: image {excluded['image'][:12]}: it cannot be decoded" in " ".join(run.out.split())
    assert "patient00003" not in run.out, "a log leaves the machine"
    for path in tmp_path.rglob("*"):
        if path.suffix in (".json", ".html"):
            assert "patient00003" not in path.read_text("utf-8"), path


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_too_many_unreadable_images_are_an_error_of_that_data_set_alone(workers, first, store, torn, small, tmp_path):
    run = medprobe(
        *(
            "--dataset",
            torn,
            "--dataset",
            small,
            "--store",
            store,
            "-v",
            "-n",
            workers,
            f"--junitxml={tmp_path / 'junit.xml'}",
        ),
        report_dir=tmp_path,
    )
    assert run.code == pytest.ExitCode.TESTS_FAILED
    jsonschema.validate(run.report, SCHEMA)
    assert run.report["verdict"] is None
    error = run.diagnoses["phantom", "torn"]["error"]
    assert "1 of 48 images cannot be read, more than --max-excluded 0.01" in error
    assert "patient00003" not in error
    assert run.diagnoses["phantom", "torn"]["verdict"] is None
    assert run.diagnoses["phantom", "small"]["verdict"] == first.diagnoses["phantom", "small"]["verdict"]
    outcomes = run.outcomes()
    assert {o for name, o in outcomes.items() if name.endswith("[phantom-torn]")} == {"ERROR"}
    cases = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    told = {tuple(p.get("value") for p in c.iter("property"))[:3] for c in cases if c.find("error") is not None}
    assert told == {("phantom", "torn", mode) for mode in MODES}
    assert "FAILED" not in outcomes.values()
