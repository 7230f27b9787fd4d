"""Everything a run writes, read back: nothing acts, no secret is in it, and no patient."""

from __future__ import annotations

import io
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medprobe.commands import find
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.phantoms import phantom_path
from medprobe.fixtures.phantoms.images import draw_dataset
from medprobe.plugins.report.outputs.rendering import TEMPLATES
from tests.places import ROOT
from tests.promises.trust import shown
from tests.runs.calling import Run, medprobe

SECRETS: dict[str, Any] = {
    "HF_TOKEN": "hf_madeUpMadeUpMadeUpMadeUp",
    "GITHUB_TOKEN": "ghs_made+up/made=up",
    "AWS_SECRET_ACCESS_KEY": "wJalr/made+up/EXAMPLEKEY",
    "MEDPROBE_ID_KEY": "a key of the hospital",
}
IN_A_URL = "user4711:pass4711"
PATIENT = "DOE^JANE"
NAMES = (PATIENT, "DOE", "JANE", "4711-0815")
"""Of a patient in folders, files and DICOM headers."""


def dicom(pixels: bool) -> bytes:
    """A scan of the patient, readable or with a header that no reader takes."""
    data = Dataset()
    data.PatientName, data.PatientID = PATIENT, "4711-0815"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
    data.Rows = data.Columns = 64
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = bytes(range(256)) * 16 if pixels else b"DOE^JANE"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = "1.2.3", "1.2.3"
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in folders of patients, some of them DICOM or damaged, with classes named to act."""
    folder = tmp_path_factory.mktemp("data")
    manifest = draw_dataset(folder, 24, 2, seed=5)
    images = folder / "images"
    for path in sorted(images.rglob("patient*.png")):
        if path.stem.endswith("_mask"):
            path.unlink()
            continue
        number = re.findall(r"\d+", path.stem)[0]
        place = path.parent / f"{PATIENT} {number}"
        place.mkdir(exist_ok=True)
        path.rename(place / path.name)
    for label in ("normal", "benign"):
        (images / label / f"{PATIENT} scan\n::error::x.dcm").write_bytes(dicom(pixels=label == "normal"))
    first = min(images.rglob("*.png"))
    first.write_bytes(first.read_bytes()[:900])
    text = manifest.read_text("utf-8").replace("*.png", "**")
    text = text.replace('answer = "benign"', f"answer = {json.dumps(shown.EVIL)}\nsynonyms = ['benign']")
    manifest.write_text(re.sub(r"pattern = .*", f"pattern = '({re.escape(PATIENT)} [0-9]+)'", text), "utf-8")
    return manifest


def says(text: str) -> dict[str, Any]:
    """A decoder whose model says `text` where it would say `normal`."""
    replace = {"type": "Replace", "pattern": {"String": "normal"}, "content": text}
    plain = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return {"type": "Sequence", "decoders": [plain, replace]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One that is named and answers to act, and one that cannot be loaded for what it says."""
    folder = tmp_path_factory.mktemp("models")
    good, bad = folder / shown.NAME, folder / "bad"
    for path in (good, bad):
        shutil.copytree(phantom_path(), path)
    tokenizer = json.loads((good / "tokenizer.json").read_text("utf-8"))
    tokenizer["decoder"] = says(shown.EVIL.replace("alert", "prompt"))
    (good / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    config = json.loads((bad / "config.json").read_text("utf-8"))
    told = f"{SECRETS['HF_TOKEN']} https://{IN_A_URL}@hub.example {shown.EVIL}"
    (bad / "config.json").write_text(json.dumps(config | {"model_type": told, "architectures": [told]}), "utf-8")
    return [good, bad]


@pytest.fixture(scope="module")
def run(data: Path, models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    good, bad = models
    accepted = {"model": resolve(str(good)).name, "dataset": "phantom", "reason": shown.EVIL}
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in accepted.items())
    (folder / "medprobe.toml").write_text(
        f'[[accepted]]\n{text}mode = "semantic_mapping_misalignment"\nuntil = 2999-01-01\n', "utf-8"
    )
    return medprobe(
        *("-c", ROOT / "pyproject.toml", ROOT / "diagnostics", "-v", "-rA", "-n", "0"),
        *("--model", good, "--model", bad, "--dataset", data, "--max-excluded", "0.2"),
        *("--store", folder / "store", "--save-baseline", folder / "out" / "baseline.json"),
        *("--alluredir", folder / "out" / "allure", f"--junitxml={folder / 'out' / 'junit.xml'}"),
        f"--override-ini=junit_suite_name=https://{IN_A_URL}@ci.example",
        report_dir=folder / "out",
        cwd=folder,
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(folder / "out" / "summary.md"),
        JENKINS_URL="x",
        BUILD_URL=f"https://{IN_A_URL}@ci.example/1",
        **SECRETS,
    )


def written(run: Run) -> dict[str, str]:
    """All that the run left in files and on the terminal."""
    files = {
        str(path.relative_to(run.report_dir)): path.read_text("utf-8", errors="replace")
        for path in run.report_dir.rglob("*")
        if path.is_file()
    }
    return {**files, "stdout": run.out, "stderr": run.err}


def test_the_run_is_the_one_meant(run: Run) -> None:
    good, bad = run.report["diagnoses"]
    assert good["error"] is None, good["error"]
    assert good["n_excluded"] == 2
    assert good["answer"]["unparseable"] > 0
    assert "***" in bad["error"]
    names = set(written(run))
    assert {"junit.xml", "summary.md", "baseline.json", "comparison.csv", "stdout"} <= names
    assert any(name.startswith("allure") for name in names)


def test_no_secret_is_in_anything(run: Run) -> None:
    paths = [path for path in run.report_dir.parent.joinpath("store").rglob("*") if path.is_file()]
    store = {str(path): path.read_bytes() for path in paths}
    assert any(name.endswith(".safetensors") for name in store)
    everything = {name: text.encode() for name, text in written(run).items()} | store
    for name, content in everything.items():
        for secret in (*SECRETS.values(), "pass4711"):
            if name != "junit.xml" or secret != "pass4711":  # the suite's name is the caller's
                assert secret.encode() not in content, name


def test_no_patient_is_in_anything(run: Run) -> None:
    for name, text in written(run).items():
        for word in NAMES:
            assert not re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", text), name


def test_an_image_left_out_is_found_by_its_hash(
    run: Run, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [excluded["image"] for excluded in run.report["diagnoses"][0]["excluded"]]
    assert all(f"left out: image {image[:12]}" in " ".join(run.out.split()) for image in ids)
    assert find.main([str(data), *ids]) == 1, "under another key"
    monkeypatch.setenv("MEDPROBE_ID_KEY", SECRETS["MEDPROBE_ID_KEY"])
    capsys.readouterr()
    assert find.main([str(data), *ids]) == 0
    assert f"{PATIENT} scan" in capsys.readouterr().out


def test_nothing_acts(run: Run) -> None:
    ours = (TEMPLATES / "sort.js").read_text("utf-8")
    for name, text in written(run).items():
        found: list[str] = []
        if name.endswith(".html"):
            found = shown.acts_in_html(text, ours)
        elif name.endswith(".svg"):
            found = shown.acts_in_svg(text)
        elif name.endswith(".md"):
            found = shown.acts_in_markdown(text)
        elif name.endswith(".csv"):
            found = shown.acts_in_csv(text)
        elif name in ("stdout", "stderr") or name.endswith((".txt", ".properties")):
            found = shown.acts_in_terminal(text)
        assert not found, name


def test_junit_is_xml_and_allure_s_texts_are_still(run: Run) -> None:
    cases = list(ElementTree.parse(run.report_dir / "junit.xml").iter("testcase"))
    assert len(cases) == 8
    results = [json.loads(p.read_text("utf-8")) for p in (run.report_dir / "allure").glob("*-result.json")]
    assert len(results) == 8
    for result in results:
        details = result.get("statusDetails") or {}
        assert not shown.acts_in_html(result["descriptionHtml"])
        assert not shown.acts_in_terminal(result["name"] + details.get("message", "") + details.get("trace", ""))
    messages = " ".join((r.get("statusDetails") or {}).get("message", "") for r in results)
    # An accepted failure is told with its reason; with so few patients it may be undecided instead.
    assert "XFAIL =1+1" in messages or "[inconclusive]" in messages
