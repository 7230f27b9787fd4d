"""Which GPUs are seen, and which worker has which."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.plugins.run import devices
from medprobe.plugins.run.devices import listed_devices, shares, visible
from tests.places import ROOT
from tests.runs.calling import medprobe

LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-0000)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1111)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111-a)
  MIG 3g.20gb     Device  1: (UUID: MIG-1111-b)
GPU 2: NVIDIA L4 (UUID: GPU-2222)
"""


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("0", ["0"]),
        ("2, 0", ["2", "0"]),
        ("GPU-8932f937,MIG-1/2/3", ["GPU-8932f937", "MIG-1/2/3"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("NoDevFiles", []),
    ],
)
def test_what_the_caller_hides_stays_hidden(asked: str, seen: list[str]) -> None:
    assert visible({"CUDA_VISIBLE_DEVICES": asked}) == seen


def test_a_gpu_that_is_cut_counts_as_its_slices() -> None:
    assert listed_devices(LISTED) == ["GPU-0000", "MIG-1111-a", "MIG-1111-b", "GPU-2222"]


def test_gpus_are_found_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", "")
    for folder, expected in ((tmp_path, ["0", "1"]), (tmp_path / "absent", [])):
        monkeypatch.setattr(devices, "GPUS", folder)
        devices._present.cache_clear()
        assert visible({}) == expected
    devices._present.cache_clear()


@given(st.integers(1, 16), st.integers(1, 16), st.booleans())
def test_no_gpu_is_shared_while_there_are_enough(n_devices: int, n_workers: int, several: bool) -> None:
    given_out = shares([str(i) for i in range(n_devices)], n_workers, several)
    assert len(given_out) == n_workers
    assert all(given_out)
    taken = [device for part in given_out for device in part]
    if n_workers <= n_devices:
        assert len(set(taken)) == len(taken)
        assert not several or len(taken) == n_devices
    else:
        assert set(taken) == {str(i) for i in range(n_devices)}
        assert all(len(part) == 1 for part in given_out)


@pytest.mark.parametrize(
    ("seen", "options", "workers"),
    [
        ("0,1,2,3", {"model": ["a", "b", "c"]}, 3),
        ("0,1", {"model": ["a", "b", "c"]}, 2),
        ("0,1,2,3", {}, 1),
        ("0,1,2,3", {"model": ["a", "b"], "device_map": "auto"}, 1),
        ("", {"model": ["a", "b"]}, None),
        ("0,1", {"model": ["a", "b"], "engine": "ray"}, 0),
    ],
)
def test_auto_counts_gpus(
    seen: str, options: dict[str, object], workers: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    config: Any = SimpleNamespace(
        option=SimpleNamespace(numprocesses="auto"), getoption=lambda name: options.get(name.removeprefix("medprobe_"))
    )
    assert devices.pytest_xdist_auto_num_workers(config) == workers
    if options.get("engine") != "ray":
        monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "5")
        assert devices.pytest_xdist_auto_num_workers(config) is None


SEEN = """
import os, sys, time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(6))
def test_seen(number):
    assert "torch" not in sys.modules
    folder, worker = Path(os.environ["FOLDER"]), os.environ["PYTEST_XDIST_WORKER"]
    (folder / worker).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
    if worker == "gw1":
        os.kill(os.getpid(), 9)
    while not (folder / "gw2").exists() and worker == "gw0":
        time.sleep(0.05)
"""


@pytest.mark.slow
def test_each_worker_has_its_own_gpu_and_its_successor_has_the_same(tmp_path: Path) -> None:
    """Two workers on a machine whose nvidia-smi lists two GPUs, the second worker killed."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-a)'\necho 'GPU 1: B (UUID: GPU-b)'\n")
    smi.chmod(smi.stat().st_mode | stat.S_IXUSR)
    files = [tmp_path / "test_one.py", tmp_path / "test_two.py"]
    for file in files:
        file.write_text(SEEN)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "seen").mkdir()
    run = medprobe(
        *("-p", "medprobe.plugins.options", "-p", "medprobe.plugins.run.devices"),
        *("-n", "2", "-p", "no:cacheprovider"),
        *files,
        report_dir=tmp_path / "reports",
        cwd=tmp_path,
        FOLDER=str(tmp_path / "seen"),
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(ROOT),
    )
    seen = {path.name: path.read_text() for path in (tmp_path / "seen").iterdir()}
    assert seen["gw0"] == "GPU-a", run.out + run.err
    assert seen["gw1"] == seen["gw2"] == "GPU-b"
    assert set(seen) == {"gw0", "gw1", "gw2"}
    assert "medprobe: GPUs of each worker: GPU-a; GPU-b" in run.out
