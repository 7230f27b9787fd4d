"""Small data sets written for one test, and the published ones where `MEDPROBE_DATA` says they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.samples import MANIFEST


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or leaves anything in the user's cache."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("medprobe.fixtures.datasets.near_duplicates.user_cache_dir", lambda name: str(cache / name))
    monkeypatch.delenv("MEDPROBE_ID_KEY", raising=False)
    return cache


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """`write({"dark/1.png": bytes}, top="seen = []", end="[groups]...")` -> the manifest beside `pictures/`."""

    def _write(files: dict[str, bytes], top: str = "", end: str = "") -> Path:
        for name, data in files.items():
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        manifest = tmp_path / "manifest.toml"
        manifest.write_text(MANIFEST.format(top=top, end=end))
        return manifest

    return _write


@pytest.fixture(scope="session")
def published() -> Path:
    folder = os.environ.get("MEDPROBE_DATA")
    if not folder:
        pytest.skip("MEDPROBE_DATA does not say where the published data sets are")
    return Path(folder)
