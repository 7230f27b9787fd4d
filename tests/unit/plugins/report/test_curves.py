"""The page of curves: many models before and after tuning, from records made by hand."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.commands.report import main
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.fixtures.models.registry import registry
from medprobe.plugins.report.entries import Checkpoint, ReportEntry, Row, lineage
from medprobe.plugins.report.outputs.files import write_report
from medprobe.plugins.report.pictures.curve_grid import HEIGHT, SPANS, TOP, pairs, view
from tests.unit.plugins.report import samples
from tests.unit.plugins.report.test_report import Page

PAPER = {alias: entry for alias, entry in registry().items() if entry.paper}
DATASETS = ("busi", "covid19-ct", "chest-xray")


def of(model: str, dataset: str = "busi", **settings: Any) -> Diagnosis:
    diagnosis = samples.healthy()
    given = {"model": model, "dataset": dataset, "controls": samples.controls()}
    return diagnosis.model_copy(update={**given, "revision": None, "settings": diagnosis.settings | settings})


def deep(diagnosis: Diagnosis, n_vision: int, n_llm: int) -> Diagnosis:
    assert diagnosis.curves is not None
    curve = samples.layers([0.5 + 0.4 * math.sin(i / 9) ** 2 for i in range(max(n_vision, n_llm))])
    update = {"vision": curve[:n_vision], "llm_mean": curve[:n_llm], "llm_last": curve[:n_llm]}
    return diagnosis.model_copy(update={"curves": diagnosis.curves.model_copy(update=update)})


def shown(*diagnoses: Diagnosis) -> dict[str, Any]:
    entries = list(map(ReportEntry, diagnoses))
    return view(entries, lineage(entries))


def test_the_84_curves_of_the_paper_are_one_small_page(tmp_path: Path) -> None:
    before = [
        deep(of(alias, dataset), entry.facts.vision_blocks, entry.facts.decoder_layers)
        for alias, entry in PAPER.items()
        for dataset in DATASETS
    ]
    after = [samples.tuned(d, f"{d.dataset}-lora") for d in before]
    paths = [
        write_report(samples.report(*some), tmp_path / name) for name, some in (("before", before), ("after", after))
    ]
    pages = {}
    for condition in ("before", "after"):
        pages[condition] = tmp_path / condition / "medgemma-busi" / "index.html"
        pages[condition].parent.mkdir()
        pages[condition].write_text("")
    assert main([*map(str, paths), "--out", str(tmp_path)]) == 0
    text = (tmp_path / "curves.html").read_text("utf-8")
    assert len(text.encode()) < 2_000_000
    page = Page(text)
    assert "84 curves: 14 models on 3 data sets, 42 before tuning and 42 after." in page.text
    assert page.tags.count("script") == 0
    assert re.findall(r'<th scope="row">([^<]+)<', text) == list(PAPER)
    assert page.text.count("after: adapters busi-lora, covid19-ct-lora and chest-xray-lora") == 14
    pictures = re.findall(r'<svg viewBox="0 0 322.*?</svg>', text, re.DOTALL)
    assert len(pictures) == 42
    for picture in pictures:
        assert re.findall(r'<g class="(\w+)">', picture) == ["after", "before"]
        assert len(re.findall("<polyline", picture)) == 6
        assert [len(re.findall(f'class="{name}"', picture)) for name in ("band", "chance")] == [1, 1]
    links = re.findall(r'href="([^"]+/index\.html)" title="([^"]+)"', text)
    assert links == [
        (f"{condition}/medgemma-busi/index.html", f"medgemma on busi, {condition}") for condition in ("before", "after")
    ]


def test_a_picture_says_what_it_shows() -> None:
    (row,) = shown(samples.connector_fail(), samples.tuned(samples.connector_fail()))["rows"]
    (panel,) = row.panels
    assert row.details == ["before: revision 290cda5e", "after: adapter lora"]
    assert panel.said == "Answer 0.0* \N{RIGHTWARDS ARROW} 42.0 (+44.1)"
    start = "medgemma on chest-xray. Answer 0.0* \N{RIGHTWARDS ARROW} 42.0 (+44.1). Accuracy before: "
    assert panel.label.startswith(f"{start}vision 74% to 95%, connector 74%, LLM 73% to 74%, answer 73%; after: ")
    assert "chance 73%" in panel.label
    numbers = dict(panel.curves[1].numbers)
    assert numbers["connector, mean over image tokens, after, layer 0"] == "74.0"
    assert numbers["vision, mean over image tokens, after, layers 0 to 26"].startswith("74.0 78.0 83.0")
    assert numbers["answer, after"] == "72.8"


def test_every_picture_has_one_scale() -> None:
    low = samples.vision_fail()
    found = shown(low, samples.tuned(low), samples.connector_fail())
    (top, bottom) = (found["scale"][0], found["scale"][2])
    assert (top, bottom) == (("100%", TOP), ("30%", TOP + HEIGHT))
    for row in found["rows"]:
        for panel in filter(None, row.panels):
            for curve in panel.curves:
                spans = [SPANS[stage] for stage in ("vision", "connector", "LLM", "LLM")]
                for (left, right), trace in zip(spans, curve.traces, strict=True):
                    assert all(left < x < right and TOP <= y <= TOP + HEIGHT for x, y in trace.points)
    first = found["rows"][1].panels[found["datasets"].index("chest-xray")].curves[0].traces[0].points
    assert first[0][1] == pytest.approx(TOP + HEIGHT * (1 - (0.74 - 0.3) / 0.7), abs=0.05)


def test_what_was_not_measured_has_no_line() -> None:
    broken = samples.failed()
    tuned = broken.model_copy(update={"settings": {"adapter": "lora"}, "error": None})
    (row,) = shown(broken, tuned)["rows"]
    (panel,) = row.panels
    assert [(curve.traces, curve.answer, curve.numbers) for curve in panel.curves] == [([], None, [])] * 2
    assert (panel.band, panel.chance) == (None, None)
    assert panel.said == "Answer not measured, not measured"
    assert panel.curves[0].error == broken.error


def test_other_images_are_said_not_to_be_compared() -> None:
    (row,) = shown(of("m"), of("m", adapter="a", data_fingerprint="another"))["rows"]
    assert row.panels[0].said.endswith(", not to be compared: other images")


def test_one_model_has_one_row_unless_two_were_tuned_for_the_same_images() -> None:
    def rows(*diagnoses: Diagnosis) -> list[tuple[str, list[str], list[int]]]:
        return [
            (row.name, row.details, [0 if panel is None else len(panel.curves) for panel in row.panels])
            for row in shown(*diagnoses)["rows"]
        ]

    before = [of("m", dataset) for dataset in ("x", "y")]
    assert rows(*before, of("m", "x", adapter="a"), of("m", "y", adapter="b")) == [
        ("m", ["after: adapters a and b"], [2, 2])
    ]
    assert rows(*before, of("m", "x", adapter="a"), of("m", "x", adapter="b")) == [
        ("m", ["after: adapter a"], [2, 1]),
        ("m", ["after: adapter b"], [2, 1]),
    ]
    assert rows(*before, of("n", "x", tuned_from="m"), of("z", "y")) == [
        ("m", ["after: n"], [2, 1]),
        ("z", [], [0, 1]),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("mnz"), st.sampled_from("xy"), st.sampled_from([None, "a", "b"])), unique=True)
)
def test_every_diagnosis_is_in_a_row(keys: list[tuple[str, str, str | None]]) -> None:
    base = samples.failed()
    entries = [
        ReportEntry(base.model_copy(update={"model": m, "dataset": d, "settings": {"adapter": a}})) for m, d, a in keys
    ]
    ordered: list[Row] = lineage(entries)
    found: dict[Checkpoint, int] = {}
    for before, afters in pairs(entries, ordered):
        for checkpoint in (before, *afters):
            found[checkpoint] = found.get(checkpoint, 0) + 1
        on = [e.dataset for e in entries if e.checkpoint in afters]
        assert len(on) == len(set(on))
    assert set(found) == {entry.checkpoint for entry in entries}


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = f"{samples.SCRIPT_NAME}'"
    path = write_report(samples.report(of(evil, evil), of(evil, evil, adapter=evil)), tmp_path)
    main([str(path), "--out", str(tmp_path)])
    text = (tmp_path / "curves.html").read_text("utf-8")
    page = Page(text)
    assert page.tags.count("script") == 0
    assert page.text.count(evil) >= 3
    assert "onerror" not in text
