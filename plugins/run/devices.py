"""Under pytest-xdist every worker has GPUs of its own, out of those the caller may see."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

VISIBLE = "CUDA_VISIBLE_DEVICES"
GPUS = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU of the machine."""


def visible(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs that CUDA would show a child of this process, each as an entry of CUDA_VISIBLE_DEVICES."""
    asked = environment.get(VISIBLE)
    if asked is None:
        return _present()
    devices: list[str] = []
    # CUDA ignores what follows an entry that names no device, such as -1.
    for entry in (word.strip() for word in asked.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", entry):
            break
        devices.append(entry)
    return devices


@functools.cache
def _present() -> list[str]:
    """UUIDs as the driver lists them, of the slices where a GPU is cut (MIG); indices where it cannot be asked."""
    command = shutil.which("nvidia-smi")
    if command is not None:
        # It hangs where the driver does.
        with suppress(OSError, subprocess.SubprocessError):
            return listed_devices(subprocess.check_output([command, "-L"], text=True, timeout=60))
    return [str(number) for number, _ in enumerate(GPUS.iterdir())] if GPUS.is_dir() else []


def listed_devices(text: str) -> list[str]:
    """UUIDs in the answer of `nvidia-smi -L`; of a GPU that is cut into slices, those of its slices."""
    devices: list[str] = []
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*UUID: ([^\s)]+)\)", text, re.MULTILINE):
        if kind == "MIG" and devices and devices[-1].startswith("GPU-"):
            devices.pop()
        devices.append(uuid)
    return devices


def shares(devices: Sequence[str], n_workers: int, several: bool) -> list[list[str]]:
    """The devices of each worker: one, in turn where workers outnumber them, or with `several` an even part of all."""
    if several and n_workers <= len(devices):
        bounds = [len(devices) * worker // n_workers for worker in range(n_workers + 1)]
        return [list(devices[low:high]) for low, high in itertools.pairwise(bounds)]
    return [[devices[worker % len(devices)]] for worker in range(n_workers)]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Workers for `-n auto`: one a GPU, no more than models; None, which is xdist's own answer, without GPUs."""
    if config.getoption("medprobe_engine") == "ray":
        return 0
    if config.option.numprocesses != "auto" or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    devices = visible()
    if not devices:
        return None
    if config.getoption("medprobe_device_map") is not None:
        return 1
    return min(len(devices), len(config.getoption("medprobe_model") or ["phantom"]))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("medprobe_engine") == "ray" and _n_workers(config):
        raise pytest.UsageError("--engine ray spreads every model over the cluster by itself; leave out -n")


def _n_workers(config: pytest.Config) -> int:
    """Workers that this process starts."""
    return 0 if hasattr(config, "workerinput") else len(getattr(config.option, "tx", None) or [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Say in each worker's environment, before it imports anything, which GPUs are its own.

    A worker that replaces a crashed one is made from the same specification, so it has the same.
    """
    local = [spec for spec in specs if spec.popen]
    devices = visible()
    if devices:
        several = config.getoption("medprobe_device_map") is not None
        for spec, own in zip(local, shares(devices, len(local), several), strict=True):
            spec.env[VISIBLE] = ",".join(own)


def pytest_report_header(config: pytest.Config) -> str | None:
    n_workers = _n_workers(config)
    devices = visible() if n_workers else []
    if not devices:
        return None
    if n_workers > len(devices):
        return f"medprobe: {n_workers} workers share {len(devices)} GPUs, each takes the next in turn"
    own = shares(devices, n_workers, config.getoption("medprobe_device_map") is not None)
    return "medprobe: GPUs of each worker: " + "; ".join(", ".join(part) for part in own)
