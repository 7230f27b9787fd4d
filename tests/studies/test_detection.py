"""A slice of the detection matrix, and the arithmetic of its rates."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from benchmarks import detection
from benchmarks.detection import Cell, clustered, design, rate, run
from tests.places import RESULTS

BASES = ("llava-2", "llava-3", "gemma3-2")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("matrix")


@pytest.mark.parametrize(
    "fault", ["vision.drowned", "connector.deaf", "llm.silent", "answer.equal_words", "healthy.permuted_channels"]
)
def test_what_is_planted_is_diagnosed(fault, work):
    kind = "healthy" if fault.startswith("healthy") else "destroys"
    row = run(Cell("phantom", kind, fault, 7001), work, work)
    assert row["primary"] == row["expected"], row
    assert row["verdict"] == ("pass" if kind == "healthy" else "fail"), row


def test_every_verdict_of_the_matrix_is_repeated_from_its_predictions():
    found = json.loads((RESULTS / "detection.json").read_text("utf-8"))
    ran = [row for row in found["runs"] if "cannot" not in row]
    assert len(ran) > 150
    for row in ran[::7]:
        again = detection.repeated(row, found["images"][str(row["image_seed"])])
        assert {name: row[name] for name in again} == again
    assert json.loads(json.dumps(detection.summary(found["runs"]))) == found["summary"]


def test_an_answer_that_names_no_class_is_kept_as_such():
    assert detection.decoded(detection.encoded([0, -1, 2])).tolist() == [0, -1, 2]


def test_the_design_covers_every_stage_on_every_base():
    cells = design(BASES)
    assert len(set(cells)) == len(cells)
    for base in BASES:
        own = [cell for cell in cells if cell.base == base]
        assert sum(cell.kind == "healthy" for cell in own) == 9
        assert Counter(cell.stage for cell in own if cell.kind == "destroys") == dict.fromkeys(detection.DESTROYS, 2)
    assert [cell.kind for cell in design(["llava-2-pair"]) if cell.base != "phantom"] == ["healthy"] * 2
    planted = {cell.fault for cell in design(list(map(str, range(6)))) if cell.kind == "shifts"}
    assert planted == set(detection.SHIFTS)


def test_a_stopped_run_goes_on(work, monkeypatch):
    ran = []

    def fake(cell, *_):
        ran.append(cell)
        return vars(cell) | {"cannot": "not run here"}

    bases = work / "bases"
    for base in (*BASES, *detection.BUILDING):
        (bases / base).mkdir(parents=True)
        (bases / base / "training.json").write_text("{}")
    monkeypatch.setattr(detection, "run", fake)
    monkeypatch.setattr(detection, "write", lambda rows, images: None)
    monkeypatch.setattr(detection, "truth", lambda seed, work: {})
    detection.main(["--bases", str(bases), "--work", str(work / "rows"), "--limit", "7"])
    assert len(ran) == 7
    detection.main(["--bases", str(bases), "--work", str(work / "rows")])
    assert len(ran) == len(design(BASES))
    assert not {cell.base for cell in ran} & set(detection.BUILDING)


def test_an_interval_over_bases_is_wider_where_bases_differ():
    hits = [True] * 20 + [False] * 20
    low, high = clustered(hits, ["a"] * 20 + ["b"] * 20)
    assert (low, high) == (0.0, 1.0)
    even = clustered([True, False] * 20, ["a"] * 20 + ["b"] * 20)
    assert even == (0.5, 0.5)


def test_a_rate_has_its_upper_bound():
    rows = [{"base": str(i % 5)} for i in range(80)]
    none = rate(rows, lambda row: False)
    assert none["n_hits"] == 0
    assert none["wilson"][1] == pytest.approx(0.0458, abs=1e-3)
