"""What a killed process leaves: no lock that blocks, and drafts that the next holder sweeps."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from medprobe.diagnostics.store import Folder, StoreError, in_use
from medprobe.diagnostics.store.running import RUNNING, alive, alone

HOLD = """
import sys
from pathlib import Path
from medprobe.diagnostics.store import Folder, in_use
root = Path(sys.argv[1])
folder = Folder(root, "a")
with in_use(root), folder.lock():
    (folder.path / ".draft.half").write_bytes(b"half")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the store, holds an extraction's lock and is writing."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_blocks_nothing(holder: subprocess.Popen[str], tmp_path: Path, way: signal.Signals) -> None:
    draft = tmp_path / "a" / ".draft.half"
    with pytest.raises(StoreError, match="a run is using the store"), alone(tmp_path):
        pass
    holder.send_signal(way)
    holder.wait(10)
    assert draft.exists()
    with in_use(tmp_path), Folder(tmp_path, "a").lock():
        assert not draft.exists()
        assert alive(tmp_path) == 1
    assert not list((tmp_path / RUNNING).glob("*.lock"))


def test_parts_sweep_their_own_drafts(tmp_path: Path) -> None:
    folder = Folder(tmp_path, "a")
    (folder.path / ".draft-1-of-2.x").write_bytes(b"another part is writing this")
    with folder.lock("-2-of-2"), folder.lock():
        assert (folder.path / ".draft-1-of-2.x").exists()
    with folder.lock("-1-of-2"):
        assert not (folder.path / ".draft-1-of-2.x").exists()
