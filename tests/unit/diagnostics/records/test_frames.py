"""Records as tables, and the report read back with its predictions."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from medprobe.diagnostics.records.saved import load_report
from medprobe.fixtures.errors import MedprobeError
from medprobe.plugins.report.outputs.files import write_report
from tests.unit.plugins.report import samples


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A report whose second diagnosis has its predictions beside it."""
    write_report(samples.everything(), tmp_path)
    (tmp_path / "medgemma-chest-xray").mkdir()
    (tmp_path / "medgemma-chest-xray" / "predictions.json").write_text(samples.predictions().model_dump_json())
    return tmp_path


@pytest.mark.parametrize("place", [".", "report.json"])
def test_a_report_comes_back_with_its_predictions(place: str, saved: Path) -> None:
    report = load_report(saved / place)
    asked = [(d.model, d.dataset) for d in report.diagnoses]
    assert asked == [(d.model, d.dataset) for d in samples.everything().diagnoses]
    of = {(d.model, d.dataset): d.predictions for d in report.diagnoses}
    assert of["medgemma", "chest-xray"] == samples.predictions()
    assert of["phantom", "phantom"] is None


def test_predictions_are_no_part_of_the_report() -> None:
    plain = samples.healthy()
    held = plain.with_predictions(samples.predictions())
    assert held.model_dump_json() == plain.model_dump_json()
    assert plain.predictions is None


def test_what_cannot_be_read_is_one_sentence(saved: Path) -> None:
    with pytest.raises(MedprobeError, match=r"nowhere cannot be read .*name the report.json"):
        load_report(saved / "nowhere")
    (saved / "medgemma-chest-xray" / "predictions.json").write_text("{}")
    with pytest.raises(MedprobeError, match=r"predictions.json cannot be read: wrong at model: Field required"):
        load_report(saved)


def test_a_row_a_diagnosis() -> None:
    pytest.importorskip("pandas", reason="tables need pandas")
    report = samples.everything()
    table = report.to_frame()
    assert len(table) == len(report.diagnoses)
    one, row = report.diagnoses[1], table.iloc[1]
    link = one.failure_modes.connector_fidelity_loss
    assert (row["model"], row["signal.connector"]) == (one.model, one.signal.connector)
    assert row["failure_modes.connector_fidelity_loss.loss"] == link.loss
    assert (row["failure_modes.connector_fidelity_loss.ci.low"], row["failure_modes.connector_fidelity_loss.ci.high"]) \
        == link.ci  # fmt: skip
    error = table[table["error"].notna()].iloc[0]
    assert error["model"] == samples.SCRIPT_NAME
    assert math.isnan(error["signal.connector"])
    assert "signal" not in table
    assert {"cause.module", "regression.verdict"} <= set(table)


def test_a_row_a_layer() -> None:
    pytest.importorskip("pandas", reason="tables need pandas")
    found = samples.healthy()
    table = found.curves_frame()
    assert len(table) == sum(len(layers) for _, layers in found.curves)
    last = table[table["curve"] == "llm_last"].iloc[-1]
    layer = found.curves.llm_last[-1]
    assert (last["layer"], last["accuracy"], last["ci.low"], last["ci.high"]) == (
        layer.layer, layer.accuracy, *layer.ci
    )  # fmt: skip
    assert list(samples.failed().curves_frame()) == list(table)


def test_a_row_an_image() -> None:
    pytest.importorskip("pandas", reason="tables need pandas")
    found = samples.predictions()
    found = found.model_copy(update={"places": found.places | {"answer": [*found.places["answer"][:-1], -1]}})
    table = samples.healthy().with_predictions(found).predictions_frame()
    assert table["image"].tolist() == found.images
    assert table["label"].tolist() == [found.classes[k] for k in found.labels]
    assert table["answer"].iloc[-2] == "normal"
    assert table["answer"].isna().tolist() == [False] * 19 + [True]


def test_tables_without_predictions_say_why() -> None:
    with pytest.raises(MedprobeError, match=r"no predictions of phantom on phantom: no predictions.json lies beside"):
        samples.healthy().predictions_frame()
    with pytest.raises(MedprobeError, match="connector> could not be found"):
        samples.failed().predictions_frame()


def test_tables_without_pandas_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MedprobeError, match=r"pip install 'medprobe\[frames\]'"):
        samples.healthy().curves_frame()
