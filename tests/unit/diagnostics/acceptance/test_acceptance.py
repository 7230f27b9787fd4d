"""The acceptance record: criteria fixed beforehand, each with its verdict, in the file and on the page."""

from __future__ import annotations

import getpass
import hashlib
import json
import socket
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from medprobe.diagnostics.acceptance.criteria import CriteriaFile, load_criteria
from medprobe.diagnostics.acceptance.judge import judged
from medprobe.diagnostics.judgement import least
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.thresholds import ThresholdError
from medprobe.plugins.call import _gate
from medprobe.plugins.project import CallError
from medprobe.plugins.report.outputs import acceptance
from tests.places import ACCEPTANCE_SCHEMA
from tests.unit.plugins.report import samples

DAY, MOMENT = date(2026, 11, 28), datetime(2026, 11, 28, 12, 0, 30, 999, UTC)
LEAST = "[least]\nsensitivity.circle = 0.8\n"
FULL = (
    'fixed = 2026-11-01\npurpose = "second <b>reader</b>"\n'
    + LEAST
    + "[regression]\nminimum_effect = 0.02\n[retention]\nllm = 0.8\n"
)


def criteria(folder: Path, text: str = LEAST) -> CriteriaFile:
    path = folder / "criteria.toml"
    path.write_text(text, "utf-8")
    return load_criteria(path, DAY)


def required(diagnosis, held):
    asked = held.thresholds.least_of(diagnosis.model, diagnosis.dataset, diagnosis.classes)
    return diagnosis.model_copy(update={"least": least.judge(asked, measures(diagnosis))})


def test_the_hash_is_that_of_the_file(tmp_path):
    held = criteria(tmp_path)
    assert held.sha256 == hashlib.sha256((tmp_path / "criteria.toml").read_bytes()).hexdigest()
    assert criteria(tmp_path, LEAST + "# one word more\n").sha256 != held.sha256


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        (LEAST, "least"),
        ("[sensitivity]\ncircle = 0.02\n", "regression"),
        ("[retention]\nllm = 0.8\n", "absolute"),
        ("[health]\nleast = {vision = 0.9}\n", "absolute"),
        ("[health]\nlargest_drop = {vision = 0.1}\n", "regression"),
        (FULL, "both"),
        ('[[override]]\ndataset = "d"\nregression = {minimum_effect = 0.05}\n', "regression"),
    ],
)
def test_the_gate_is_the_one_the_criteria_need(tmp_path, text, gate):
    assert criteria(tmp_path, text).gate == gate


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no criterion"),
        ('purpose = "x"\n', "holds no criterion"),
        ("[least]\n", "holds no criterion"),
        ("fixed = 2026-11-29\n" + LEAST, "says it was fixed on 2026-11-29, which is to come"),
        ("[least]\nsensitivity.circle = 80\n", "is wrong at least.sensitivity.circle: .*less than or equal to 1"),
        ("[leest]\na = 1\n", "is wrong at leest"),
        ("least =", "is no TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, told):
    with pytest.raises(ThresholdError, match=f"the criteria file .*criteria.toml {told}") as raised:
        criteria(tmp_path, text)
    assert "\n" not in str(raised.value).strip()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ThresholdError, match=r"the criteria file .*nowhere.toml cannot be read: No such file"):
        load_criteria(tmp_path / "nowhere.toml", DAY)


def test_margins_need_a_baseline_and_another_gate_is_refused(tmp_path):
    held = criteria(tmp_path, FULL)
    with pytest.raises(CallError, match="the criteria hold margins, which need a baseline"):
        _gate({"gate": None}, None, held)
    with pytest.raises(CallError, match="are judged by --gate both, not absolute; leave out --gate"):
        _gate({"gate": "absolute"}, tmp_path, held)
    assert _gate({"gate": None}, tmp_path, held) == "both"
    assert _gate({"gate": None}, tmp_path, criteria(tmp_path)) == "least"


def test_a_model_is_accepted_where_all_hold(tmp_path):
    held = criteria(tmp_path, LEAST + "[retention]\nllm = 0.8\n")
    found = judged(required(samples.healthy(), held), held)
    assert (found.decision, found.why) == ("accepted", "all 2 criteria hold")
    assert [(row.name, row.verdict) for row in found.criteria] == [
        ("sensitivity.circle", "pass"),
        ("retention.llm", "pass"),
    ]


def test_one_that_fails_is_named_and_links_that_were_not_asked_do_not_count(tmp_path):
    held = criteria(tmp_path)
    lost = samples.llm_fail()
    shares = lost.sensitivity | {"answer": samples.healthy().sensitivity["answer"]}
    kept = required(lost.model_copy(update={"sensitivity": shares}), held)
    assert judged(kept, held).decision == "accepted"
    held = criteria(tmp_path, LEAST + "[retention]\nllm = 0.8\n")
    found = judged(kept, held)
    assert found.decision == "not_accepted"
    assert found.why.startswith("less than 80% of the signal before the llm")


def test_what_the_comparison_decides_beside_its_rows_counts(tmp_path):
    """A probe exit or a drop of a score that regressed is in no row of the answer."""
    held = criteria(tmp_path, "[sensitivity]\nnormal = 0.05\n")
    found = judged(samples.connector_fail(), held)
    rows = {row.name: row.verdict for row in found.criteria}
    assert rows["change.answer"] == "fail"
    assert rows["change.sensitivity.normal"] == "pass"
    assert rows["regression"] == "fail"
    kept = samples.regressed().exits["vision"]
    hidden = samples.regressed().model_copy(
        update={"exits": {"answer": kept}, "sensitivity": {}, "specificity": {}, "health_drops": []}
    )
    assert judged(samples.connector_fail().model_copy(update={"regression": hidden}), held).decision == "not_accepted"


def test_what_could_not_be_measured_is_undecided(tmp_path):
    held = criteria(tmp_path)
    found = judged(samples.failed(), held)
    assert found.decision == "undecided"
    assert found.why == "it could not be measured; report.json says why"
    assert found.fingerprints.model is None
    whole = acceptance.record(samples.report(required(samples.healthy(), held), samples.failed()), held, MOMENT)
    assert whole.decision == "undecided"
    other = criteria(tmp_path, '[[override]]\nmodel = "x"\nleast = {sensitivity = {circle = 0.8}}\n')
    assert judged(samples.healthy(), other).why == "no criterion is of this model and data set"


def full(folder):
    held = criteria(folder, FULL)
    diagnosis = required(samples.healthy(), held).model_copy(
        update={
            "model": samples.SCRIPT_NAME,
            "regression": samples.regressed(),
            "classes": ["<script>alert(1)</script>"],
            "settings": samples.COMMON["settings"] | {"model_fingerprint": "ab" * 32, "data_fingerprint": "cd" * 32},
        }
    )
    report = samples.report(diagnosis)
    suite = report.suite | {"command": f"pytest --model /home/{getpass.getuser()}/checkpoint"}
    return acceptance.record(report.model_copy(update={"suite": suite}), held, MOMENT)


def test_the_file_is_as_its_schema_says_and_names_no_machine_path_or_user(tmp_path):
    from jsonschema import Draft202012Validator

    assert ACCEPTANCE_SCHEMA.read_text("utf-8") == acceptance.schema_json(), (
        "run python -m medprobe.plugins.report.outputs.acceptance"
    )
    schema = json.loads(acceptance.schema_json())
    Draft202012Validator.check_schema(schema)
    text = acceptance.acceptance_json(full(tmp_path))
    Draft202012Validator(schema).validate(json.loads(text))
    for secret in (str(tmp_path), "/home/", socket.gethostname(), "command"):
        assert secret not in text
    assert json.loads(text)["models"][0]["fingerprints"]["model"] == "ab" * 32


def test_the_page_escapes_every_name_and_an_earlier_one_is_taken_away(tmp_path):
    _, page = acceptance.write(full(tmp_path), tmp_path)
    html = page.read_text("utf-8")
    assert "<script>" not in html
    assert "<b>reader" not in html
    assert "second &lt;b&gt;reader" in html
    assert "not accepted" in html
    acceptance.remove(tmp_path)
    assert not page.exists()
    assert not (tmp_path / acceptance.FILE).exists()


def test_the_suite_is_known_by_its_code(tmp_path):
    one = full(tmp_path)
    assert len(one.suite.facts["code"]) == 64
    assert one.suite == full(tmp_path).suite
