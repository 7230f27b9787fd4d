"""The comparison of models, from reports made by hand."""

from __future__ import annotations

import csv
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.commands.report import main
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.fixtures.models.registry import registry
from medprobe.plugins.report.entries import Checkpoint, Entry, cautions, lineage, merge
from medprobe.plugins.report.outputs.files import write_report
from medprobe.plugins.report.outputs.matrix import view
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.table import csv_text, rows_of
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_report import Page

CHROMIUM = shutil.which("chromium")


def named(
    model: str, dataset: str = "busi", revision: str | None = None, adapter: str | None = None, like: Any = None
) -> Diagnosis:
    diagnosis = (like or samples.healthy)()
    settings = diagnosis.settings | {"adapter": adapter}
    return diagnosis.model_copy(update={"model": model, "dataset": dataset, "revision": revision, "settings": settings})


def saved(folder: Path, *diagnoses: Diagnosis) -> str:
    return str(write_report(samples.report(*diagnoses), folder))


def order(*diagnoses: Diagnosis) -> list[tuple[str, int]]:
    return [(str(row.checkpoint), row.depth) for row in lineage(map(Entry, diagnoses))]


def test_many_reports_become_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = saved(tmp_path / "a", *samples.everything().diagnoses)
    second = saved(tmp_path / "b", named("medgemma", "busi"), samples.vision_fail())
    out = tmp_path / "out"
    assert main([first, second, "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.split() == [str(out / f"comparison.{ending}") for ending in ("html", "csv", "md")] + [
        str(out / "curves.html")
    ]
    page = Page((out / "comparison.html").read_text("utf-8"))
    assert page.links == ["curves.html", "comparison.csv", "comparison.md"]
    assert len(page.ids) == len(set(page.ids))
    assert "None" not in page.text
    with (out / "comparison.csv").open(encoding="utf-8", newline="") as file:
        records = list(csv.DictReader(file))
    assert len(records) == 10
    (found,) = (r for r in records if r["model"] == "medgemma" and r["dataset"] == "chest-xray")
    assert found["revision"] == "290cda5e"
    assert found["primary_failure_mode"] == "connector_fidelity_loss"
    causes = {r["model"]: (r["cause"], r["cause_certain"], r["cause_key"]) for r in records}
    assert causes["medgemma"] == ("", "", "")
    assert causes["llava-open"] == ("open", "false", "")
    assert causes["llava-mean"] == ("input", "true", "image_processor.image_mean, image_processor.image_std")
    assert causes["llava-connector"] == ("connector", "true", "")
    assert [float(found[f"signal_{place}"]) for place in ("connector", "answer")] == [0.1134, -0.0211]
    assert float(found["fhs_vision"]) == 1.13
    (broken,) = (r for r in records if r["error"])
    assert {broken["verdict"], broken["n_images"], broken["signal_answer"], broken["fhs_answer"]} == {""}
    markdown = (out / "comparison.md").read_text("utf-8").splitlines()
    assert "| 92.0 | 88.1 | 11.3 | 8.9 | 0.0\\* |" in next(line for line in markdown if "290cda5e" in line)
    pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in markdown if line.startswith("|")}
    assert pipes == {18}


def test_every_picture_has_words_and_every_heading_a_scope(tmp_path: Path) -> None:
    path = saved(tmp_path, *samples.everything().diagnoses)
    main([path, "--out", str(tmp_path)])
    text = (tmp_path / "comparison.html").read_text("utf-8")
    pictures = re.findall(r"<svg[^>]*>", text)
    assert len(pictures) == 13
    assert all('role="img" aria-label="' in picture for picture in pictures)
    assert all("scope=" in tag for tag in re.findall(r"<th\b[^>]*>", text))
    spoken = "vision 88.1, connector 11.3 (fails), llm 8.9, answer 0.0 (below chance) (fails)"
    assert f'aria-label="Signal: reference 92.0, {spoken}"' in text


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = f"{samples.SCRIPT_NAME} | *x*"
    bad = named(evil, evil, evil, evil, samples.connector_fail)
    path = saved(tmp_path, bad, samples.failed())
    main([path, "--out", str(tmp_path)])
    page = Page((tmp_path / "comparison.html").read_text("utf-8"))
    assert page.tags.count("script") == 1
    assert evil in page.text
    plain = re.sub(r"\\.", "", (tmp_path / "comparison.md").read_text("utf-8"))
    assert not re.search(r"<|\*", plain)
    assert {line.count("|") for line in plain.splitlines() if line.startswith("|")} == {18}


def test_a_failing_link_is_framed_from_where_it_fell() -> None:
    entries = [Entry(samples.vision_fail())]
    ((cell,),) = (row.cells for row in view(entries, lineage(entries))["matrix"])
    assert [bar.fell_from is not None for bar in cell.bars] == [False, True, False, False, False]
    assert cell.bars[1].fell_from == cell.bars[0].top == pytest.approx(36 * 0.1, abs=0.05)
    assert cell.bars[1].top == pytest.approx(36 * 0.69, abs=0.05)


def test_what_was_not_measured_has_no_bar() -> None:
    entries = [Entry(samples.failed()), Entry(named("m", "busi", like=samples.undecided)), Entry(named("m", "other"))]
    error, rest = view(entries, lineage(entries))["matrix"]
    assert (error.cells[0].bars, error.cells[0].profile, error.cells[1]) == ([], [], None)
    assert rest.cells[0].profile == []
    assert "reference" not in error.cells[0].ends


def test_a_tuned_model_stands_below_its_base() -> None:
    tuned, base = "medgemma", registry()["medgemma"].base
    assert base is not None
    assert order(named(tuned), named("phantom"), named(base)) == [("phantom", 0), (base, 0), (tuned, 1)]
    by_hub = registry()[base].hub.split("/")[1]
    assert order(named(tuned), named(by_hub)) == [(by_hub, 0), (tuned, 1)]


def test_a_whole_checkpoint_stands_below_what_it_is_said_to_be_tuned_from() -> None:
    tuned = named("release-2")
    tuned = tuned.model_copy(update={"settings": tuned.settings | {"tuned_from": "release-1"}})
    assert order(tuned, named("x"), named("release-1")) == [("x", 0), ("release-1", 0), ("release-2", 1)]
    assert order(tuned, named("x")) == [("release-2", 0), ("x", 0)]


def test_a_pair_names_what_was_gained_and_what_was_lost() -> None:
    def caused(diagnosis: Diagnosis, **cause: Any) -> Diagnosis:
        return diagnosis.model_copy(update={"cause": samples.named_cause().model_copy(update=cause)})

    before = caused(named("m"), against="m (adapter a)", module="llm")
    after = caused(named("m", adapter="a"), against="m", module=None, reason="no loss to explain: it answers worse")
    for second, named_after in ((after, "none: no loss to explain"), (caused(after, against="other"), "")):
        entries = [Entry(before), Entry(second)]
        (pair,) = view(entries, lineage(entries))["pairs"]
        assert (pair.gained, pair.lost) == ("LLM", named_after)


def test_before_stands_above_after() -> None:
    found = order(
        named("m", adapter="lora-a"),
        named("m", adapter="lora-b"),
        named("other"),
        named("m"),
        named("m", revision="v2"),
    )
    assert found == [
        ("other", 0),
        ("m", 0),
        ("m (adapter lora-a)", 1),
        ("m (adapter lora-b)", 1),
        ("m (revision v2)", 1),
    ]


CHECKPOINTS = st.tuples(
    st.sampled_from(["medgemma", "gemma-3-4b", "gemma-3-4b-it", "lingshu-7b", "x"]),
    st.sampled_from([None, "v1", "v2"]),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, "medgemma", "gemma-3-4b", "x"]),
)


@given(st.lists(CHECKPOINTS))
def test_every_checkpoint_has_one_row(checkpoints: list[Any]) -> None:
    base = samples.failed()
    entries = [
        Entry(base.model_copy(update={"model": m, "revision": r, "settings": {"adapter": a, "tuned_from": t}}))
        for m, r, a, t in checkpoints
    ]
    rows = lineage(entries)
    assert sorted(map(str, {Checkpoint(*c[:3]) for c in checkpoints})) == sorted(str(row.checkpoint) for row in rows)
    seen = [row.checkpoint for row in rows]
    assert all(row.before in seen[: seen.index(row.checkpoint)] for row in rows if row.before)


def test_pairs_add_up_with_what_is_shown() -> None:
    after = samples.connector_fail().model_copy(
        update={"revision": "v2", "signal": samples.chain(0.9, 0.9, 0.9, 0.9, 0.5)}
    )
    entries = [Entry(samples.connector_fail()), Entry(after)]
    (pair,) = view(entries, lineage(entries))["pairs"]
    assert (str(pair.before), str(pair.checkpoint)) == ("medgemma (revision 290cda5e)", "medgemma (revision v2)")
    assert [text for text, _ in pair.changes] == ["\N{MINUS SIGN}2.0", "+1.9", "+78.7", "+81.1", "+52.1"]


def test_other_images_are_not_compared() -> None:
    first, second = named("m", revision="v1"), named("m", revision="v2")
    other = second.model_copy(update={"settings": second.settings | {"data_fingerprint": "another"}})
    entries = [Entry(first), Entry(other)]
    (pair,) = view(entries, lineage(entries))["pairs"]
    assert (pair.changes, pair.reason) == ([], "not to be compared: other images")
    assert cautions(entries) == ["busi: not every model was given the same images"]
    assert cautions([Entry(first), Entry(second)]) == []
    assert cautions([Entry(first), Entry(named("n", "elsewhere"))]) == []


def test_the_same_twice_is_said_and_the_last_named_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = named("m"), named("m", like=samples.vision_fail)
    kept, notes = merge([("a", [Entry(old), Entry(named("n"))]), ("b", [Entry(new)])])
    assert [entry.diagnosis.verdict for entry in kept] == ["fail", "pass"]
    assert notes == ["m on busi is in a and in b; the one named last is kept"]
    paths = [saved(tmp_path / "a", old), saved(tmp_path / "b", new)]
    assert main([*paths, "--out", str(tmp_path)]) == 0
    said = f"m on busi is in {paths[0]} and in {paths[1]}; the one named last is kept"
    assert capsys.readouterr().err == f"{said}\n"
    assert said in Page((tmp_path / "comparison.html").read_text("utf-8")).text


@pytest.mark.parametrize("content", [None, "", "[]", '{"schema": 2}', '{"baseline_schema": 1, "diagnoses": []}'])
def test_what_cannot_be_read_ends_in_one_sentence(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main([saved(tmp_path / "good", named("m")), str(path), "--out", str(tmp_path / "out")]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert "name the report.json in a run's --report-dir" in line
    assert not (tmp_path / "out").exists()


def test_nothing_to_compare_or_nowhere_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([saved(tmp_path / "empty"), "--out", str(tmp_path)]) == 4
    assert "nothing was diagnosed in" in capsys.readouterr().err
    path = saved(tmp_path / "good", named("m"))
    assert main([path, "--out", str(Path(path) / "x")]) == 4
    assert "name another folder with --out" in capsys.readouterr().err


def test_a_run_of_several_writes_it(tmp_path: Path) -> None:
    write_pages(samples.report(samples.healthy()), tmp_path / "one")
    assert not (tmp_path / "one" / "comparison.html").exists()
    pages = write_pages(samples.report(samples.healthy(), samples.connector_fail()), tmp_path / "two")
    assert "comparison.html" in Page(pages[0].read_text("utf-8")).links
    links = Page((tmp_path / "two" / "comparison.html").read_text("utf-8")).links
    assert "medgemma-chest-xray/index.html" in links
    assert all((tmp_path / "two" / link).exists() for link in links)


def test_a_run_of_one_takes_away_the_comparison_of_another(tmp_path: Path) -> None:
    write_pages(samples.report(samples.healthy(), samples.connector_fail()), tmp_path)
    assert {path.suffix for path in tmp_path.glob("comparison.*")} == {".html", ".csv", ".md"}
    write_pages(samples.report(samples.healthy()), tmp_path)
    assert not list(tmp_path.glob("c*.*"))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(sign: str) -> None:
    entries = [Entry(named(f"{sign}1+1", f"{sign}cmd|' /C calc'!A0"))]
    (row,) = csv.DictReader(io.StringIO(csv_text(rows_of(entries, lineage(entries))), newline=""))
    # A cell is one line, so blanks and line breaks before a text are gone, and with them their danger.
    before = f"'{sign}" if sign.strip() else ""
    assert row["model"] == f"{before}1+1"
    assert row["dataset"].startswith(f"{before}cmd")
    assert all(float(value) <= 1 for name, value in row.items() if name.startswith("signal_") and value)


def test_rows_are_in_the_order_of_checkpoints_and_data_sets() -> None:
    entries = [Entry(named(m, d)) for m, d in (("a", "x"), ("b", "y"), ("b", "x"), ("a", "y"))]
    found = [(line.entry.diagnosis.model, line.entry.dataset) for line in rows_of(entries, lineage(entries))]
    assert found == [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]
