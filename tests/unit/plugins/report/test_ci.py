"""The job summary, the annotations and the badge, read back as GitHub and shields.io read them."""

from __future__ import annotations

import json
import re
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.plugins.call import Call
from medprobe.plugins.project import Accepted
from medprobe.plugins.report.outputs.markdown import COLUMNS, LIMIT, LONGEST, job_summary
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.run import ci
from tests.unit.plugins.report import samples

EVIL = (
    "a|b",
    "x\n\n# heading",
    "</td></table><script>alert(1)</script>",
    "\\|",
    "`code` | `x",
    "[a](http://x.y) ![i](http://x.y/z)",
    "https://evil.example www.evil.example",
    "\r::error::x\n::set-output name=a::b",
    "::add-mask::e",
    "##[add-mask]e",
    "&lt;b&gt; &amp; &#124; &nbsp;",
    "*a* _b_ ~~c~~ <!-- x -->",
    "\u2028\u2029\x85\x0b\x0c",
    "100%0A::error::",
    "$a$ $$b$$",
)
TEXTS = st.one_of(
    st.sampled_from(EVIL), st.text(min_size=1, max_size=60), st.text("|\\`<>&#[]()*_~!:%\r\n ,", max_size=20)
)


class Table(HTMLParser):
    """The rows of a page's tables as texts, and its other tags."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.feed(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "br":
            self.rows[-1][-1] += "\n"

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and data.strip("\n"):
            self.rows[-1][-1] += data


def named(model: str, dataset: str, caution: str, error: str | None = None) -> Diagnosis:
    made = samples.failed() if error is not None else samples.connector_fail()
    return made.model_copy(update={"model": model, "dataset": dataset, "cautions": [caution], "error": error})


def report_of(*diagnoses: Diagnosis) -> Report:
    return samples.report(*diagnoses)


def call_of(*accepted: Accepted, gate: str = "both", fail_inconclusive: bool = False) -> Call:
    return Call(
        pairs=(),
        settings=None,
        report_dir=Path("reports"),
        fail_inconclusive=fail_inconclusive,
        accepted=accepted,
        gate=gate,  # type: ignore[arg-type]
        baseline={},
        save_baseline=None,
    )


@given(TEXTS, TEXTS, TEXTS)
@settings(deadline=None, max_examples=150)
def test_no_name_breaks_out_of_the_table(model: str, dataset: str, caution: str) -> None:
    table = Table(job_summary(report_of(named(model, dataset, caution), named(model, dataset, "", caution))))
    assert [len(row) for row in table.rows] == [len(COLUMNS)] * 3
    # A word joiner parts an @ from a name, so that nobody is mentioned.
    _, shown, failed = ([cell.replace("\N{WORD JOINER}", "") for cell in row] for row in table.rows)
    collapsed = [one_line(text).strip() for text in (model, dataset, caution)]
    assert [shown[0], shown[1], shown[6]] == collapsed
    assert failed[3] == collapsed[2]
    assert set(table.tags) <= {"h3", "p", "table", "thead", "tbody", "tr", "th", "td", "br"}
    assert table.tags.count("table") == 1


def test_a_name_mentions_nobody_and_a_revision_stays_as_it_is() -> None:
    """GitHub's own filter for mentions sees what was rendered, so a reference for the sign does not keep it out."""
    _, row = Table(job_summary(report_of(named("@octocat", "m@v1", "ask @team now")))).rows
    assert [row[0], row[1], row[6]] == ["@\N{WORD JOINER}octocat", "m@v1", "ask @\N{WORD JOINER}team now"]


def test_the_summary_says_what_was_found() -> None:
    table = Table(job_summary(samples.everything()))
    cells = {(row[0], row[1]): row[2:] for row in table.rows[1:]}
    assert len(cells) == 8
    verdict, found, chain, against, cautions = cells["medgemma", "chest-xray"]
    assert (verdict, found) == ("fail", "connector fidelity loss, cause: connector, by swapping with gemma-3-4b")
    assert chain == "92.0 → 88.1 → 11.3 → 8.9 → 0.0*"
    assert "regressed: sensitivity for pneumonia, -11 points, 52.0 to 41.0 percent" in against
    assert "more than 2 points are lost at the answer" in against
    assert "cause: connector, by swapping with gemma-3-4b: 71.0 points (67.0 to 75.0) of 70.3" in against
    assert cautions.split("\n") == ["contamination unknown", "shortcut: file size alone reads 0.61"]
    assert cells["lingshu-7b", "covid19-ct"][1].startswith("tied: connector fidelity loss; readable up to ")
    assert cells["llava-open", "phantom"][1] == "readable up to the LLM's last layer, not said; cause open"
    assert "carry the labels" in cells["hulu-med-4b", "phantom"][1]
    assert cells[samples.SCRIPT_NAME, "busi"][0] == "error"


def test_a_summary_too_large_is_cut_and_says_so() -> None:
    long = named("m" * 900, "d" * 900, "é|" * 900)
    text = job_summary(report_of(*[long] * 900))
    assert len(text.encode()) <= LIMIT
    assert len(text.encode()) > 0.98 * LIMIT
    rows = Table(text).rows
    assert all(len(cell) <= LONGEST for row in rows[1:] for cell in row[:2])
    assert f"{900 - (len(rows) - 1)} of 900 diagnoses do not fit here; all are in report.json." in text


@given(st.integers(0, 4000))
@settings(deadline=None, max_examples=30)
def test_a_summary_keeps_to_the_room_that_the_step_left(room: int) -> None:
    assert len(job_summary(samples.everything(), room).encode()) <= room


def test_the_summary_is_added_to_what_the_step_wrote(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    ci.append_summary(samples.everything(), path)
    assert path.read_text("utf-8") == "before\n" + job_summary(samples.everything())


COMMAND = re.compile(r"::(\w+) title=([^:,\r\n]*)::([^\r\n]*)")


def unescaped(text: str) -> str:
    for sign, code in (("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C"), ("%", "%25")):
        text = text.replace(code, sign)
    return text


@given(TEXTS, TEXTS, TEXTS)
@settings(deadline=None, max_examples=150)
def test_no_name_breaks_out_of_the_command(model: str, dataset: str, error: str) -> None:
    (line,) = ci.commands(report_of(named(model, dataset, "", error)), call_of())
    found = COMMAND.fullmatch(line)
    assert found, line
    level, title, text = found.groups()
    assert level == "error"
    assert unescaped(title) == one_line(f"medprobe: {model} on {dataset}")[:200]
    assert len(text) < 3 * ci.LONGEST
    assert "ERROR" in unescaped(text)


@given(st.lists(TEXTS, min_size=3, max_size=3))
@example(["::add-mask::e"] * 3)
@settings(deadline=None, max_examples=50)
def test_no_name_gives_the_log_a_command(texts: list[str]) -> None:
    """A runner reads `::command::` at the start of a line, and `##[command]` anywhere in it."""
    for line in summary_lines(report_of(named(*texts), named("m", "d", "", texts[0]))):
        assert not line.strip().startswith("::")
        assert "##[" not in line


def expected(mode: str, until: str = "2999-01-01") -> Accepted:
    return Accepted(model="medgemma", dataset="chest-xray", mode=mode, reason="known", until=until)  # type: ignore[arg-type]


def levels(report: Report, call: Call) -> list[str]:
    return [line[2:].partition(" ")[0] for line in ci.commands(report, call)]


def test_the_level_of_an_annotation_is_what_the_run_makes_of_it() -> None:
    lost = samples.connector_fail().model_copy(update={"regression": None})
    assert levels(report_of(samples.healthy()), call_of()) == []
    assert levels(report_of(samples.undecided()), call_of()) == ["warning"]
    assert levels(report_of(samples.undecided()), call_of(fail_inconclusive=True)) == ["error"]
    assert levels(report_of(samples.undecided(), lost, samples.failed()), call_of()) == ["error", "error", "warning"]
    both = [expected("connector_fidelity_loss"), expected("semantic_mapping_misalignment")]
    assert levels(report_of(lost), call_of(*both)) == ["warning"]
    assert levels(report_of(lost), call_of(*both, fail_inconclusive=True)) == ["error"], "the LLM's link is undecided"
    assert levels(report_of(lost), call_of(both[0])) == ["error"]
    assert levels(report_of(lost), call_of(both[0], expected("semantic_mapping_misalignment", "2001-01-01"))) == [
        "error"
    ]


@pytest.mark.parametrize(("gate", "level"), [("regression", []), ("both", ["error"])])
def test_links_annotate_only_where_they_are_gated(gate: str, level: list[str]) -> None:
    regression = samples.regressed().model_copy(update={"verdict": "not_regressed"})
    lost = samples.connector_fail().model_copy(update={"regression": regression})
    assert levels(report_of(lost), call_of(gate=gate)) == level
    assert levels(report_of(samples.connector_fail()), call_of(gate="regression")) == ["error"]


@pytest.mark.parametrize(
    ("diagnoses", "message", "color"),
    [
        ([samples.healthy], "pass", "brightgreen"),
        ([samples.vision_fail], "fail, visual representation quality", "red"),
        (
            [samples.tied],
            "fail, tied: connector fidelity loss; readable up to the LLM's last layer, not said; cause open",
            "red",
        ),
        ([samples.open_cause], "fail, readable up to the LLM's last layer, not said; cause open", "red"),
        ([samples.wrong_mean], "fail, cause: input (image_processor.image_mean, image_processor.image_std)", "red"),
        ([samples.vision_fail, samples.healthy], "fail", "red"),
        ([samples.undecided], "inconclusive", "yellow"),
        ([samples.failed], "error", "lightgrey"),
    ],
)
def test_badge(diagnoses: list, message: str, color: str) -> None:
    badge = json.loads(ci.badge(report_of(*(make() for make in diagnoses))))
    assert badge == {"schemaVersion": 1, "label": "medprobe", "message": message, "color": color}


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line)


@given(TEXTS, TEXTS, st.text("病変漢字ab ", min_size=1, max_size=300), st.sampled_from([-1, 0, 1]), st.integers(40, 80))
@settings(deadline=None, max_examples=100)
def test_the_summary_fits_the_terminal(model: str, dataset: str, long: str, verbosity: int, width: int) -> None:
    diagnoses = named(model * 9, dataset, long), named(long, long, model, dataset), samples.undecided()
    lines = summary_lines(report_of(*diagnoses), width, verbosity)
    assert max(map(columns, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_quiet_is_a_line_a_diagnosis_and_verbose_has_every_link() -> None:
    assert summary_lines(samples.everything(), 80, -1)[1] == (
        "medgemma on chest-xray: FAIL, connector fidelity loss, cause: connector, by"
    )
    assert len(summary_lines(report_of(samples.healthy(), samples.vision_fail()), 80, -1)) == 3
    text = " ".join(" ".join(summary_lines(report_of(samples.vision_fail()), 80, 1)).split())
    assert "fail reference -> vision: loses 59.0 points (53.5 to 64.2); less than 75%" in text
    assert "pass llm -> answer: loses 1.0 points" in text
