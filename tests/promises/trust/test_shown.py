"""Nothing that a report holds acts where it is shown, whatever a model, a data set or another's report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medprobe.commands.report import main as compare_reports
from medprobe.diagnostics.outside_text import HIDDEN, inert, masked, one_line
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.plugins.allure.content import description
from medprobe.plugins.allure.files import properties
from medprobe.plugins.report import comparison
from medprobe.plugins.report.entries import ReportEntry
from medprobe.plugins.report.outputs.markdown import job_summary
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.rendering import TEMPLATES
from medprobe.plugins.report.outputs.terminal import summary_lines
from tests.promises.trust import shown
from tests.unit.plugins.report import samples

PLACES = ("locus", "loci", "layer")
"""Keys of texts that the suite makes itself, and reads back."""


def poisoned(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis with `EVIL` in every text that the record lets be anything."""
    data = diagnosis.model_dump(mode="json")

    def walk(holder: Any) -> None:
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            if isinstance(holder[key], dict | list):
                walk(holder[key])
            elif isinstance(holder[key], str) and key not in PLACES:
                before = holder[key]
                holder[key] = shown.EVIL
                try:
                    Diagnosis.model_validate(data)
                except ValidationError:
                    holder[key] = before

    walk(data)
    data["settings"] |= {shown.EVIL: shown.EVIL}
    data["error"] = diagnosis.error and shown.EVIL
    return Diagnosis.model_validate(data)


@pytest.fixture(scope="module")
def report() -> Report:
    made = [poisoned(diagnosis) for diagnosis in samples.everything().diagnoses]
    made = [d.model_copy(update={"revision": f"r{i}", "dataset": d.dataset + str(i)}) for i, d in enumerate(made)]
    assert sum(json.dumps(d.model_dump(mode="json")).count("onload") for d in made) > 100
    return Report(suite={"command": shown.EVIL, shown.EVIL: shown.EVIL}, verdict=None, diagnoses=made)


def test_the_pages_are_still(report: Report, tmp_path: Path) -> None:
    write_pages(report, tmp_path)
    ours = (TEMPLATES / "sort.js").read_text("utf-8")
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == len(report.diagnoses) + 3
    for path in pages:
        assert not shown.acts_in_html(path.read_text("utf-8"), ours), path
    for path in tmp_path.rglob("*.svg"):
        assert not shown.acts_in_svg(path.read_text("utf-8")), path
    assert all(path.resolve().is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


def test_the_tables_are_still(report: Report, tmp_path: Path) -> None:
    comparison.write(list(map(ReportEntry, report.diagnoses)), tmp_path, notes=[shown.EVIL])
    ours = (TEMPLATES / "sort.js").read_text("utf-8")
    assert not shown.acts_in_html((tmp_path / "comparison.html").read_text("utf-8"), ours)
    assert not shown.acts_in_csv((tmp_path / "comparison.csv").read_text("utf-8"))
    for text in ((tmp_path / "comparison.md").read_text("utf-8"), job_summary(report)):
        assert not shown.acts_in_markdown(text)


def test_another_s_report_is_compared_and_does_not_act(report: Report, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json(by_alias=True), "utf-8")
    assert compare_reports([str(path), str(path), "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "the one named last is kept" in said.err
    assert not shown.acts_in_terminal(said.err)


@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_the_terminal_is_still(report: Report, verbosity: int) -> None:
    assert not shown.acts_in_terminal("\n".join(summary_lines(report, 80, verbosity)))


def test_allure_is_still(report: Report) -> None:
    for diagnosis in report.diagnoses:
        for check in ("connector_fidelity_loss", "regression"):
            assert not shown.acts_in_html(description(check, diagnosis))
    lines = properties({"models": shown.EVIL, "datasets": "d"}).splitlines()
    assert [line.partition("=")[0] for line in lines if not line.startswith((" ", "\x85"))][-1] == "datasets"


@given(st.text(max_size=60) | st.sampled_from([shown.EVIL, shown.NAME]))
def test_one_line_stays_one_and_printable(text: str) -> None:
    line = one_line(text)
    assert not shown.acts_in_terminal(line)
    assert "\n" not in line
    assert one_line(line) == line
    assert not shown.acts_in_terminal(inert(text))


SECRETS = {"HF_TOKEN": "hf_made_up", "AWS_SECRET_ACCESS_KEY": "abc/def+ghi=", "GITHUB_TOKEN": "made-up-token"}


@given(st.sampled_from(sorted(SECRETS)), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_of_the_environment_is_shown(name: str, before: str, after: str) -> None:
    assert SECRETS[name] not in masked(f"{before}{SECRETS[name]}{after}", SECRETS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://me:pw@hub.example/x?rev=1", f"https://{HIDDEN}@hub.example/x?rev=1"),
        ("s3://key:secret@bucket/a", f"s3://{HIDDEN}@bucket/a"),
        ("https://x.example/a?X-Amz-Signature=abc&b=2", f"https://x.example/a?X-Amz-Signature={HIDDEN}&b=2"),
        ("https://x.example/?sig=ab%3D&token=cd e", f"https://x.example/?sig={HIDDEN}&token={HIDDEN} e"),
        ("no token=here, and the key: is told", "no token=here, and the key: is told"),
        ("hf_abcdefghijklmnopqrstuvwx", HIDDEN),
        ("org/name@main on busi", "org/name@main on busi"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, expected: str) -> None:
    assert masked(text, {}) == expected


def test_a_short_value_or_an_ordinary_variable_is_no_secret() -> None:
    assert masked("phantom on busi", {"A_TOKEN": "busi", "MODEL": "phantom on", "MONKEY": "phantom on busi"}) == (
        "phantom on busi"
    )


def test_a_secret_inside_a_longer_one_leaves_nothing_of_it() -> None:
    assert masked("x abcdefgh-tail y", {"A_KEY": "abcdefgh", "B_KEY": "abcdefgh-tail"}) == f"x {HIDDEN} y"
