"""What people look at, from reports made by hand."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medprobe.diagnostics.records.chain import Chain
from medprobe.diagnostics.records.report import Diagnosis, Excluded, Report
from medprobe.plugins.report.outputs.files import report_json, write_report
from medprobe.plugins.report.outputs.pages import write_pages
from medprobe.plugins.report.outputs.schema import SCHEMA_PATH, schema_json
from medprobe.plugins.report.outputs.terminal import summary_lines
from medprobe.plugins.report.pictures.chart import curve_svg
from medprobe.plugins.report.pictures.waterfall import steps, waterfall_svg
from medprobe.plugins.report.sections.advice import next_steps
from medprobe.plugins.report.sections.page import folder_names
from medprobe.plugins.report.sections.sentences import verdict_sentence
from tests.unit.plugins.report import samples

SAMPLES = {
    "healthy": samples.healthy,
    "connector": samples.connector_fail,
    "error": samples.failed,
    "vision": samples.vision_fail,
    "llm": samples.llm_fail,
    "tied": samples.tied,
    "undecided": samples.undecided,
    "open": samples.open_cause,
    "input": samples.wrong_mean,
    "swapped": samples.swapped,
}


class Page(HTMLParser):
    """Tags, ids and text of a page; complains where tags do not nest."""

    VOID = frozenset({"meta", "br", "link", "img", "hr", "use", "path"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.ids += [found["id"]] if found.get("id") else []
        self.links += [value for key in ("href", "src", "xlink:href") if (value := found.get(key))]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.text += data


def written(report: Report, folder: Path) -> list[Page]:
    return [Page(path.read_text(encoding="utf-8")) for path in write_pages(report, folder)]


def test_terminal_summary(snapshot: Any) -> None:
    lines = summary_lines(samples.everything())
    assert max(map(len, lines)) <= 80
    assert "\n".join(lines) == snapshot


@pytest.mark.parametrize("width", [40, 80, 120])
def test_terminal_summary_fits(width: int) -> None:
    long = samples.healthy().model_copy(update={"model": "m" * 200, "cautions": ["\x1b[31mred\x07 " * 20]})
    text = summary_lines(samples.report(long, samples.connector_fail()), width)
    assert all(len(line) <= width and line.isprintable() for line in text)


def test_terminal_says_absolute_gate_only() -> None:
    assert "absolute gate only: no baseline was compared" in summary_lines(samples.report(samples.healthy()))
    assert not any("absolute gate" in line for line in summary_lines(samples.report(samples.connector_fail())))
    assert not any("absolute gate" in line for line in summary_lines(samples.report(samples.failed())))


def test_terminal_without_diagnoses() -> None:
    assert summary_lines(samples.report()) == ["nothing was diagnosed"]


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=5))
def test_waterfall_adds_up_as_shown(values: list[float]) -> None:
    chain = steps(samples.chain(*values))
    assert chain[0].before - sum(step.loss for step in chain) == chain[-1].after
    assert all(abs(step.loss / 1000 - (b - a)) <= 0.0011 for step, b, a in zip(chain, values, values[1:], strict=False))


def test_waterfall_of_the_unmeasured() -> None:
    assert steps(None) == ()
    assert steps(Chain(reference=0.9, vision=math.nan, connector=0.1, llm=0.1, answer=0.1)) == ()
    assert waterfall_svg(samples.failed()) is None
    assert curve_svg(samples.failed()) is None


def test_waterfall_picture_and_table_say_the_same(tmp_path: Path) -> None:
    svg = waterfall_svg(samples.connector_fail())
    assert svg is not None
    (page,) = written(samples.report(samples.connector_fail()), tmp_path)[1:]
    for step in steps(samples.connector_fail().signal):
        assert f"{step.loss / 10:.1f}" in page.text
        assert f"{step.loss / 10:.1f}" in svg


@pytest.mark.parametrize("make", [samples.healthy, samples.connector_fail], ids=["K=3", "K=2"])
def test_pictures_are_the_same_bytes_each_time(make: Any) -> None:
    for draw in (curve_svg, waterfall_svg):
        first, second = draw(make()), draw(make())
        assert first is not None
        assert first == second
        assert "<dc:date>" not in first


@pytest.mark.parametrize("name", SAMPLES)
def test_page_stands_alone(name: str, tmp_path: Path) -> None:
    index, page = written(samples.report(SAMPLES[name]()), tmp_path)
    for found in (index, page):
        assert "script" not in found.tags
        assert len(found.ids) == len(set(found.ids))
        outside = [link for link in found.links if re.match(r"[a-z]+:|//", link)]
        assert not outside
        assert "None" not in found.text
        assert "nan" not in found.text.lower().split()
    assert [link for link in page.links if not link.startswith("#")] == ["../index.html", "../report.json"]


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = samples.SCRIPT_NAME
    bad = samples.connector_fail().model_copy(
        update={"model": evil, "dataset": evil, "classes": [evil, "b"], "cautions": [evil], "settings": {evil: evil}}
    )
    folder = tmp_path / "out"
    for path in write_pages(samples.report(bad, samples.failed()), folder):
        assert path.resolve().is_relative_to(folder.resolve())
        page = Page(path.read_text(encoding="utf-8"))
        assert "script" not in page.tags
        assert evil in page.text


def test_folders_are_safe_and_different() -> None:
    names = ["../../etc", "a/b", "a:b", "A_B", "", ".hidden", "x" * 400, "médical", "index.html"]
    report = samples.report(*(Diagnosis(model=n, revision=None, dataset="d") for n in names))
    folders = folder_names(report)
    assert len({name.casefold() for name in folders}) == len(names)
    assert all(re.fullmatch(r"[\w@+-][\w.@+-]*", name) and len(name.encode()) <= 130 for name in folders)
    assert folder_names(samples.report(samples.healthy())) == ["phantom-phantom"]


def test_the_unmeasured_is_never_zero(tmp_path: Path) -> None:
    index, page = written(samples.report(samples.failed()), tmp_path)
    assert "The checkpoint's <connector> could not be found" in page.text
    assert not re.search(r"\b0(\.0+)?%?\b", page.text.split("The error")[1].split("To repeat")[0])
    bare = Diagnosis(model="m", revision=None, dataset="d", verdict="inconclusive", n_images=12, n_groups=3)
    index, page = written(samples.report(bare), tmp_path)
    assert "not measured" in index.text
    assert "svg" not in page.tags


def test_excluded_images_are_shown(tmp_path: Path) -> None:
    _, page = written(samples.report(samples.connector_fail()), tmp_path)
    assert "truncated file" in page.text
    assert "2 left out" in page.text


def test_the_reference_is_named_with_its_weights(tmp_path: Path) -> None:
    _, first, second = written(samples.report(samples.healthy(), samples.connector_fail()), tmp_path)
    assert "filters learnt from these images without their labels, read by the probe." in first.text
    assert "The reference is resnet50.a1_in1k, pretrained: pretrained weights timm/resnet50.a1_in1k@" in second.text
    assert "vision.24.mean reads more and raises it." in second.text


def test_the_images_lost_on_the_way_are_listed_by_hash(tmp_path: Path) -> None:
    report, read = samples.report(samples.connector_fail()), samples.predictions(3)
    # Wrong at the tower already, so not lost behind it; and a text that names no class.
    read.places["vision"] = [*read.labels[:17], 0, 1, 1]
    read.places["answer"] = [*read.labels[:17], 0, -1, 0]
    html = write_pages(report, tmp_path, [read])[1].read_text(encoding="utf-8")
    part = html.split("<h2>Right at the tower, wrong in the answer")[1].split("<h2>")[0]
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall("<t[hd][ >].*?</t[hd]>", part)]
    assert cells[3:9] == ["normal", "10", "0 (0%)", "pneumonia", "9", "2 (22%)"]
    assert cells[-6:] == [f"{18:064x}", "pneumonia", "no class named", f"{19:064x}", "pneumonia", "normal"]
    assert f"{17:064x}" not in part
    assert "img" not in Page(html).tags


def test_an_error_lists_no_image(tmp_path: Path) -> None:
    page = Page(write_pages(samples.report(samples.failed()), tmp_path, [samples.predictions()])[1].read_text("utf-8"))
    assert "Right at the tower" not in page.text


def test_the_images_lost_keep_the_page_light(tmp_path: Path) -> None:
    (_, path) = write_pages(samples.report(samples.deep()), tmp_path, [samples.all_lost(5000)])
    assert path.stat().st_size < 1_000_000
    assert "4,800 more follow from predictions.json." in path.read_text("utf-8")


def test_page_weight(tmp_path: Path) -> None:
    heavy = samples.connector_fail()
    assert heavy.curves is not None
    assert heavy.signal is not None
    deep = samples.layers([0.5 + i / 300 for i in range(100)])
    heavy = heavy.model_copy(
        update={
            "curves": heavy.curves.model_copy(
                update=dict.fromkeys(("vision", "vision_grid", "llm_mean", "llm_last"), deep)
            ),
            "classes": [f"class {i}" for i in range(20)],
            "confusion": samples.confusion(heavy.signal, 20, 400, 3),
            "excluded": [Excluded(image=f"{i:064x}", reason="truncated file") for i in range(5000)],
            "settings": {"null": [0.1] * 100_000},
        }
    )
    for path in write_pages(samples.report(heavy), tmp_path):
        assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("name", SAMPLES)
def test_verdict_is_one_sentence(name: str, snapshot: Any) -> None:
    sentence = verdict_sentence(SAMPLES[name]())
    assert len(re.findall(r"\.(\s|$)", sentence)) == 1
    assert [sentence, *((step.place, step.text) for step in next_steps(SAMPLES[name]()))] == snapshot


def test_schema_is_published_as_the_records_are() -> None:
    assert SCHEMA_PATH.read_text(encoding="utf-8") == schema_json(), (
        "run python -m medprobe.plugins.report.outputs.schema"
    )


def test_report_json_validates(tmp_path: Path) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads(schema_json())
    Draft202012Validator.check_schema(schema)
    path = write_report(samples.everything(), tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(data)
    assert list(data) == ["schema", "suite", "verdict", "gate", "outdated", "pooled", "diagnoses"]
    assert Report.model_validate(data) == samples.everything()
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    data["diagnoses"][0]["verdict"] = "red"
    assert not Draft202012Validator(schema).is_valid(data)


def test_report_json_keeps_its_order() -> None:
    first = samples.connector_fail()
    turned = first.model_copy(update={"settings": dict(reversed(first.settings.items()))})
    assert report_json(samples.report(first)) == report_json(samples.report(turned))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_report_json_refuses_what_is_not_finite(bad: float, tmp_path: Path) -> None:
    broken = samples.healthy().model_copy(update={"timing": {"probing": bad}})
    with pytest.raises(ValueError, match=r"diagnoses\[0\]\.timing\.probing"):
        write_report(samples.report(broken), tmp_path)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.floats(-0.2, 1), min_size=5, max_size=5), st.sampled_from(["pass", "fail", "inconclusive"]))
@settings(max_examples=25, deadline=None)
def test_any_chain_can_be_summed_up(values: list[float], verdict: Any) -> None:
    diagnosis = samples.healthy().model_copy(update={"signal": samples.chain(*values), "verdict": verdict})
    assert all(len(line) <= 80 for line in summary_lines(samples.report(diagnosis)))
    assert verdict_sentence(diagnosis).endswith(".")
