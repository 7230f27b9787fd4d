"""A project's own models, data sets, checks and hooks: every example of docs/guides/project.md, run as it is."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.phantoms import phantom_path
from medprobe.plugins import call, project
from medprobe.plugins.options import OPTIONS
from medprobe.plugins.project import CallError, Config
from tests.places import GUIDES
from tests.runs.calling import medprobe

TEXT = (GUIDES / "project.md").read_text("utf-8")
TOML, PYTHON = (re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.M | re.S) for kind in ("toml", "python"))
UNSET = {name.strip("-").replace("-", "_"): settings.get("default") for name, settings in OPTIONS}


def renamed(manifest: Path, folder: Path, name: str) -> None:
    """The data set again, under another name, with its images beside it."""
    shutil.copytree(manifest.parent, folder, dirs_exist_ok=True)
    text = manifest.read_text("utf-8").replace('name = "small"', f'name = "{name}"')
    (folder / manifest.name).unlink()
    (folder / f"{name}.toml").write_text(text, "utf-8")


@pytest.fixture
def repository(tmp_path: Path, small: Path, store: Path) -> Path:
    """A team's repository, its settings and code those of the page."""
    settings, thresholds = TOML
    check, layers, *hooks = PYTHON
    (tmp_path / "medprobe.toml").write_text(settings, "utf-8")
    (tmp_path / "thresholds.toml").write_text(thresholds, "utf-8")
    (tmp_path / "features").symlink_to(store)
    (tmp_path / "images").mkdir()
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_release.py").write_text(check, "utf-8")
    (tmp_path / "checks" / "test_layers.py").write_text(layers, "utf-8")
    (tmp_path / "checks" / "conftest.py").write_text("\n".join(hooks), "utf-8")
    for checkpoint in ("release", "step-9", "step-10"):
        shutil.copytree(phantom_path(), tmp_path / "checkpoints" / checkpoint)
    renamed(small, tmp_path / "data", "wards")
    renamed(small, tmp_path / "data" / "more", "biopsies")
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("first")
def test_the_page_is_a_project_that_runs(repository: Path) -> None:
    run = medprobe(
        *("--model", "release", "--model", "newest", "--dataset", "wards", "--dataset", "biopsies", "-v", "-n", "2"),
        report_dir=repository / "reports",
        cwd=repository,
        program="medprobe",
    )
    asked = {(model, data) for model in ("release", "newest") for data in ("wards", "biopsies")}
    assert set(run.diagnoses) == asked, run.out + run.err
    # Accepted, and it passes: the entry is out of date, which is a failure.
    outcomes = run.outcomes()
    failed = {test for test, outcome in outcomes.items() if outcome == "FAILED"}
    assert failed == {"test_visual_representation_quality[release-wards]"}
    for model, data in asked:
        assert outcomes[f"test_answers_are_usable[{model}-{data}]"] == "PASSED"
        assert outcomes[f"test_images_are_enough[{model}-{data}]"] == "SKIPPED"
    assert run.code == 1
    vision = {
        names: found["failure_modes"]["visual_representation_quality"]["threshold"]
        for names, found in run.diagnoses.items()
    }
    assert vision == {names: 0.7 if names == ("release", "wards") else 0.75 for names in asked}
    lines = (repository / "history.csv").read_text("utf-8").splitlines()
    assert {tuple(line.split(",")[:2]) for line in lines} == asked
    assert len(lines) == len(asked)


@pytest.mark.usefixtures("first")
@pytest.mark.slow
def test_a_path_stands_in_place_of_all_checks(repository: Path) -> None:
    run = medprobe(
        *("checks/test_release.py::test_answers_are_usable", "--model", "newest", "--dataset", "biopsies", "-v"),
        report_dir=repository / "reports",
        cwd=repository,
        program="medprobe",
    )
    assert run.outcomes() == {"test_answers_are_usable[newest-biopsies]": "PASSED"}, run.out + run.err
    assert set(run.diagnoses) == {("newest", "biopsies")}


def test_names_of_the_project_are_listed(repository: Path) -> None:
    listed = medprobe("list", report_dir=repository / "reports", cwd=repository, program="medprobe")
    assert listed.code == 0, listed.err
    rows = [line.split() for line in listed.out.splitlines()]
    assert ["release", "checkpoints/release"] in rows
    assert ["newest", "checkpoints/step-10"] in rows
    assert ["wards", "data/wards.toml"] in rows
    assert ["biopsies", "data/more/biopsies.toml"] in rows
    assert {"medgemma", "busi"} <= {row[0] for row in rows if row}


def test_names_of_the_project_are_planned(repository: Path) -> None:
    planned = medprobe(
        *("--plan", "h100", "--model", "newest", "--dataset", "wards"),
        report_dir=repository / "reports",
        cwd=repository,
        program="medprobe",
    )
    assert planned.code == 0, planned.err
    assert "newest" in planned.out
    assert "wards" in planned.out


def test_every_setting_is_explained() -> None:
    table = TEXT.partition("| key |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z_]+)`", table)) == set(Config.model_fields)
    for setting in project.Alias.model_fields:
        assert re.search(rf"\b{setting}\b", TOML[0])


def test_an_alias_brings_every_option_of_loading_but_those_that_are_typed_each_time(tmp_path: Path) -> None:
    loading = {option.name for option in fields(LoadOptions)}
    assert set(project.Alias.model_fields) == {"checkpoint"} | loading - {"trust_remote_code", "offline"}
    for setting, value, why in (
        ("trust_remote_code", "true", "is no setting"),
        ("quantize", "'3bit'", "should be '4bit' or '8bit'"),
    ):
        (tmp_path / "medprobe.toml").write_text(f"[models.mine]\ncheckpoint = 'phantom'\n{setting} = {value}\n")
        with pytest.raises(project.CallError, match=rf"models\.mine\.{setting}\b.* {why}"):
            project.read(tmp_path)


def test_every_option_of_loading_is_typed_under_its_name() -> None:
    assert {option.name for option in fields(LoadOptions)} <= UNSET.keys()


def test_an_option_wins_over_what_an_alias_brings(tmp_path: Path) -> None:
    config = Config.model_validate({"models": {"mine": {"checkpoint": "phantom-llm", "dtype": "float16"}}})
    for given, used in ((None, "float16"), ("float32", "float32")):
        asked = call.resolve({**UNSET, "model": ["mine", "phantom"], "dtype": given}, tmp_path, config)
        mine, other = asked.pairs
        assert (mine.id, mine.model.fault) == ("mine-phantom", "llm")
        assert asked.settings_of(mine).load.dtype == used
        assert asked.settings_of(other).load.dtype == given


def test_a_second_checkpoint_may_be_an_alias_or_an_adapter_of_the_model(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text("{}", "utf-8")
        (tmp_path / name / "adapter_model.safetensors").write_bytes(b"weights")
    old, new = (str(tmp_path / name) for name in ("old", "new"))
    config = Config.model_validate({"models": {"mine": {"checkpoint": "phantom-llm", "adapter": old}}})

    def against(spec: str, model: str = "mine") -> tuple[str | None, str | None, str | None]:
        settings = call.resolve({**UNSET, "model": [model], "against": spec}, tmp_path, config).settings
        return settings.against.name, settings.against.fault, settings.against_adapter

    assert against("mine", "phantom") == ("mine", "llm", old)
    assert against(new) == ("mine (adapter new)", "llm", new)
    assert against("phantom") == ("phantom", None, None)
    told = call.resolve({**UNSET, "model": ["phantom"], "tuned_from": "mine"}, tmp_path, config)
    assert told.settings.tuned_from == "mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('data_rot = "/data"', "medprobe.toml has data_rot, which is no setting"),
        ('[models.mine]\ncheckpoint = "phantom"\nadaptor = "a"', "has models.mine.adaptor, which is no setting"),
        ("[models.mine]\n", "is wrong at models.mine.checkpoint: Field required"),
        ('[models.medgemma]\ncheckpoint = "phantom"', "models.medgemma: that name is built in"),
        ('[datasets]\nbusi = "busi.toml"', "datasets.busi: that name is built in"),
        ('[datasets]\n"a/b" = "busi.toml"', "is wrong at datasets.a/b"),
        ('checks = ["nowhere"]', "there are no checks at {folder}/nowhere"),
        ("checks = [", "medprobe.toml cannot be read"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "medprobe.toml").write_text(text, "utf-8")
    with pytest.raises(CallError) as refused:
        project.checks(tmp_path)
    assert says.format(folder=tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_data_set_has_one_name(tmp_path: Path, small: Path) -> None:
    config = Config(datasets={"wards": str(small)})
    with pytest.raises(CallError, match="is named 'small' in itself and 'wards' in the project"):
        call.resolve({**UNSET, "dataset": ["wards"]}, tmp_path, config)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        (
            "checks/conftest.py",
            "def pytest_medprobe_datasets(config):\n    return {'wards': 'other.toml'}\n",
            "the name 'wards' is given twice among the project's datasets",
        ),
        (
            "checks/conftest.py",
            "def pytest_medprobe_models(config):\n    return {'mine': {}}\n",
            "the hook pytest_medprobe_models is wrong at models.mine.checkpoint",
        ),
        ("medprobe.toml", 'checks = ["nowhere"]', "there are no checks at "),
    ],
)
def test_a_wrong_project_is_refused_in_one_sentence(file: str, text: str, says: str, repository: Path) -> None:
    (repository / file).write_text(text)
    refused = medprobe("--model", "phantom", report_dir=repository / "reports", cwd=repository, program="medprobe")
    assert refused.code == pytest.ExitCode.USAGE_ERROR
    (line,) = filter(str.strip, refused.err.splitlines())
    assert says in line
