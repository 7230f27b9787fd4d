"""The suite as it is installed: a wheel, built and tried in a clean environment, from an empty folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ACCEPTANCE_SCHEMA, ROOT, SCHEMA
from tests.runs.calling import SETTLED

PARTS = ("diagnostics", "fixtures", "plugins", "medprobe", "conftest.py", "pyproject.toml", "README.md", "LICENSE")
ASKED = ("--model", "phantom-connector", "--max-images", "60")
FOREIGN = {
    "fixtures/__init__.py": "from fixtures.loan import Loan\n",
    "fixtures/loan.py": "class Loan: ...\n",
    # Modules and packages that the suite has too.
    "fixtures/datasets.py": "RETURNED = True\n",
    "diagnostics/__init__.py": "FOREIGN = True\n",
    "plugins/__init__.py": "FOREIGN = True\n",
    "plugins/options.py": "FOREIGN = True\n",
    "borrowing.py": """
import sys
from fixtures import Loan


def pytest_sessionfinish(session):
    import diagnostics
    import fixtures.datasets
    import fixtures.loan
    import plugins.options
    assert fixtures.Loan is Loan is sys.modules["fixtures.loan"].Loan and fixtures.datasets.RETURNED
    assert diagnostics.FOREIGN and plugins.FOREIGN and plugins.options.FOREIGN
    held = getattr(sys.modules.get("sitecustomize"), "HELD", None)
    assert held is None or held is fixtures
    print("still whole", "at the start" if held else "later")


def pytest_report_header():
    return f"borrowing: {Loan.__module__}"
""",
    "borrowing-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: borrowing\nVersion: 1.0\n",
    "borrowing-1.0.dist-info/entry_points.txt": "[pytest11]\nborrowing = borrowing\n",
}
"""A plugin that lives on packages of its own, named as folders of the suite are."""


def files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout keeps clean, and without the network."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["tar", "-cf", "-", "--exclude=__pycache__", *PARTS], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-xf", "-"], cwd=source, input=tracked.stdout, check=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run(
        [*pip, "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(built), "."],
        cwd=source,
        check=True,
    )
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The programs of an environment that has the wheel, and of this one everything but medprobe."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    here = Path(sysconfig.get_path("purelib"))
    there = Path(sysconfig.get_path("purelib", "venv", {"base": str(home), "platbase": str(home)}))
    for entry in here.iterdir():
        if "medprobe" not in entry.name and entry.suffix != ".pth":
            (there / entry.name).symlink_to(entry)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(home / "bin" / "python")]
    # In no folder and on no path where the checkout would count as medprobe already installed.
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], cwd=home, env=environment(), check=True
    )
    return home / "bin"


def called(program: Path, *arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=300,
    )


def environment(**variables: str) -> dict[str, str]:
    ours = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    clean = {name: value for name, value in os.environ.items() if not SETTLED.match(name) and name not in ours}
    return {**clean, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **variables}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A first diagnosis, from a folder that held nothing but the project's settings."""
    folder = tmp_path_factory.mktemp("empty")
    (folder / "medprobe.toml").write_text('store = "features"\n')
    lies = programs.parent / "lib"
    before = set(files(lies))
    done = called(programs / "medprobe", *ASKED, f"--junitxml={folder.name}.xml", cwd=folder)
    assert set(files(lies)) == before
    return folder, done


def test_no_package_of_a_plain_name_is_installed(programs: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u, medprobe.home as h; print(h.HOME, h.__file__);"
        "print([n for n in ('diagnostics', 'fixtures', 'plugins', 'conftest', 'setup') if u.find_spec(n)])"
    )
    done = called(programs / "python", "-c", code, cwd=tmp_path)
    places, found = done.stdout.splitlines()
    assert all(place.startswith(str(programs.parent)) for place in places.split())
    assert found == "[]"


def test_the_wheel_carries_the_suite_and_nothing_else(programs: Path) -> None:
    (package,) = programs.parent.glob("lib/*/site-packages/medprobe")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no git checkout to compare with")
    names = tracked.stdout.splitlines()
    of_suite = {name for name in names if name.startswith(("diagnostics/", "fixtures/", "plugins/"))}
    own = {name.removeprefix("medprobe/") for name in names if name.startswith("medprobe/")}
    carried = {name for name in files(package) if "__pycache__" not in name}
    assert carried == of_suite | own - {"diagnostics", "fixtures", "plugins"}


def test_the_wheel_carries_the_licence_and_the_schema(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        (licence,) = (name for name in held.namelist() if name.endswith("licenses/LICENSE"))
        assert held.read(licence) == (ROOT / "LICENSE").read_bytes()
        assert held.read("medprobe/plugins/report/outputs/report.schema.json") == SCHEMA.read_bytes()
        assert held.read("medprobe/plugins/report/outputs/acceptance.schema.json") == ACCEPTANCE_SCHEMA.read_bytes()


def test_a_diagnosis_from_an_empty_folder(run: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = run
    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((folder / "reports" / "report.json").read_text("utf-8"))
    (diagnosis,) = report["diagnoses"]
    assert diagnosis["primary_failure_mode"] == "connector_fidelity_loss"
    assert report["suite"]["command"] == f"medprobe {' '.join(ASKED)} --junitxml={folder.name}.xml"
    left = {path.name for path in folder.iterdir()}
    assert left == {"medprobe.toml", "features", "reports", ".pytest_cache", f"{folder.name}.xml"}
    assert "warning" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("before", "workers"), [(True, "0"), (False, "2")])
def test_beside_a_plugin_with_a_package_of_the_same_name(
    before: bool, workers: str, run: tuple[Path, subprocess.CompletedProcess[str]], programs: Path, tmp_path: Path
) -> None:
    """Imported before the suite's, at the start of Python, or after it, as an entry point of pytest."""
    folder, _ = run
    code = {**FOREIGN, "sitecustomize.py": "import fixtures.datasets\nHELD = fixtures\n"} if before else FOREIGN
    for name, text in code.items():
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / name).write_text(text)
    done = called(
        programs / "medprobe",
        *(*ASKED, "--store", folder / "features", "-n", workers),
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "lib"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "borrowing: fixtures.loan" in done.stdout
    assert f"still whole {'at the start' if before else 'later'}" in done.stdout
    assert "INTERNALERROR" not in done.stdout
    again, once = (json.loads((at / "reports" / "report.json").read_text("utf-8")) for at in (tmp_path, folder))
    assert again["diagnoses"][0]["failure_modes"] == once["diagnoses"][0]["failure_modes"]


def test_subcommands_read_what_a_run_has_left(
    run: tuple[Path, subprocess.CompletedProcess[str]], programs: Path
) -> None:
    folder, _ = run
    for arguments, code, says in (
        (("rejudge", "reports"), 0, "phantom-connector on phantom: fail, repeated"),
        (("report", "reports/report.json", "--out", "compared"), 0, "comparison.html"),
        (("compare", "a.json", "b.json"), 4, "no baseline b.json"),
        (("diagnose-pair", "--model", "phantom"), 4, "one of the arguments --adapter --after is required"),
        (("list",), 0, "medgemma"),
        (("--version",), 0, "medprobe 0."),
        (("--help",), 0, "rejudge"),
    ):
        done = called(programs / "medprobe", *arguments, cwd=folder)
        assert done.returncode == code, done.stderr
        assert says in done.stdout + done.stderr


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, pytest.ExitCode.INTERRUPTED), (signal.SIGTERM, -15)])
def test_signals_are_those_of_pytest(sent: signal.Signals, code: int, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import pathlib, time\ndef test_long():\n    pathlib.Path('begun').touch()\n    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [programs / "medprobe", "test_own.py"], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    )
    try:
        while not (tmp_path / "begun").exists() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(sent)
        assert process.wait(60) == code
    finally:
        process.kill()
