"""Runs killed at a random moment and started again: is the second one's result that of a run nobody disturbed?

    OMP_NUM_THREADS=1 python -m benchmarks.kills [--runs 50] [--seed 0] [--jobs 2]

Every run diagnoses the phantom on 96 images in shards of 16. Three undisturbed runs fix what must come out and how long
it takes; then each run is ended at a moment drawn evenly from that time by SIGKILL, SIGTERM or SIGINT in turn, and
started again on the same store. One that is done before its moment is made anew, with half of it. Writes
benchmarks/results/kills.json and docs/studies/kills.md.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.study import ROOT, Study

SHARD, PATIENTS, IMAGES_EACH = 16, 32, 3
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TRACE = "extracted.txt"
DRAFTS = (".draft", ".tmp")
COLUMNS = (
    "signal",
    "runs",
    "reached by it",
    "equal after the second run",
    "shards computed twice, at most",
    "broken files",
    "drafts after the kill",
    "drafts left",
    "locks left",
)


def child(arguments: list[str]) -> int:
    """One run of the suite, in small shards; every shard computed is a line of the file named first."""
    import pytest

    from medprobe.diagnostics import store
    from medprobe.diagnostics.extraction import measurement

    trace = Path(arguments[0])
    measurement.SHARD = SHARD
    add = store.Folder.add

    def traced(self: store.Folder, shard: store.Shard) -> None:
        with trace.open("a") as file:
            file.write(f"{self.path.name} {' '.join(sorted(shard.images))}\n")
        add(self, shard)

    store.Folder.add = traced  # type: ignore[method-assign]
    return int(pytest.main(arguments[1:]))


def start(place: Path, manifest: Path, *more: str, reports: str = "reports") -> subprocess.Popen[bytes]:
    """A run with its store and reports under `place`."""
    place.mkdir(exist_ok=True)
    own = ["-m", "benchmarks.kills", "--child", str(place / TRACE)]
    asked = ["--model", "phantom", "--dataset", str(manifest), "--store", str(place / "store"), "-q", *more]
    command = [sys.executable, *own, *asked, "--report-dir", str(place / reports)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def results(place: Path, reports: str = "reports") -> dict[str, Any]:
    """All that a run said, apart from time and environment."""
    report = json.loads((place / reports / "report.json").read_bytes())
    for diagnosis in report["diagnoses"]:
        del diagnosis["timing"]
    del report["suite"]
    predictions = {
        path.parent.name: json.loads(path.read_bytes()) for path in (place / reports).glob("*/predictions.json")
    }
    return {"report": report, "predictions": predictions}


def left(folder: Path) -> list[str]:
    """Drafts of files under `folder`, by path."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(mark in path.name for mark in DRAFTS)
    )


def held_locks(folder: Path) -> list[str]:
    """Locks that another process holds, or that a run left for itself."""
    from filelock import FileLock, Timeout

    held = [path.as_posix() for path in folder.glob(".running/*.lock")]
    for path in [*folder.glob("*/.lock*"), *folder.glob("*/*.lock")]:
        try:
            FileLock(path, timeout=0).acquire().lock.release()
        except Timeout:
            held.append(path.as_posix())
    return held


def shards(place: Path) -> tuple[int, int]:
    """How many shards of `place` were computed, and how many of them more than once."""
    lines = Counter((place / TRACE).read_text().splitlines()) if (place / TRACE).exists() else Counter[str]()
    return len(lines), sum(n - 1 for n in lines.values())


def disturbed(
    place: Path, manifest: Path, way: signal.Signals, moment: float, expected: dict[str, Any]
) -> dict[str, Any]:
    """Kill a run after `moment` seconds, start it again, and say what differs from the expected."""
    from medprobe.diagnostics.store.upkeep import verify

    run = start(place, manifest)
    caught = False
    try:
        run.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        caught = True
        run.send_signal(way)
        run.communicate()
    killed_with = run.returncode
    before, _ = shards(place)
    finished = len(list(place.glob("store/*/*.safetensors"))), (place / "reports" / "report.json").exists()
    drafts = left(place)
    _, broken = verify(place / "store")
    again = start(place, manifest)
    output = again.communicate()[0].decode()
    computed, twice = shards(place)
    return {
        "signal": way.name,
        "moment": round(moment, 2),
        "caught": caught,
        "ended": killed_with,
        "shards_before": before,
        "files_before": finished[0],
        "report_before": finished[1],
        "drafts_before": len(drafts),
        "broken": len(broken),
        "exit": again.returncode,
        "equal": again.returncode == 0 and results(place) == expected,
        "shards": computed,
        "computed_twice": twice,
        "drafts_left": left(place),
        "locks_left": held_locks(place / "store"),
        "said": "" if again.returncode == 0 else output[-500:],
    }


def sound(run: dict[str, Any]) -> bool:
    """Whether a run that was killed left nothing to be seen."""
    kept = run["equal"] and run["computed_twice"] <= 1 and not run["broken"]
    return bool(kept and not run["drafts_left"] and not run["locks_left"])


def study(n: int, seed: int, jobs: int, folder: Path) -> dict[str, Any]:
    from medprobe.fixtures.phantoms.images import draw_dataset

    manifest = draw_dataset(folder / "data", PATIENTS, IMAGES_EACH, 5)
    seconds, undisturbed = [], []
    for i in range(3):
        started = time.monotonic()
        start(folder / f"whole-{i}", manifest).communicate()
        seconds.append(time.monotonic() - started)
        undisturbed.append(results(folder / f"whole-{i}"))
    if any(result != undisturbed[0] for result in undisturbed):
        raise SystemExit("undisturbed runs differ: there is nothing to compare with")
    rng = random.Random(seed)
    moments = [rng.uniform(0, min(seconds)) for _ in range(n)]

    def killed(i: int) -> dict[str, Any]:
        """A run that is done before its moment is made anew, with half of it."""
        for attempt in range(5):
            place = folder / f"killed-{i}-{attempt}"
            run = disturbed(place, manifest, SIGNALS[i % len(SIGNALS)], moments[i] / 2**attempt, undisturbed[0])
            if run["caught"]:
                break
        print(i, {k: v for k, v in run.items() if v}, flush=True)
        return run

    with ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(killed, range(n)))
    whole = [round(s, 2) for s in seconds]
    return {"seed": seed, "seconds_undisturbed": whole, "images": PATIENTS * IMAGES_EACH, "runs": runs}


def page(found: dict[str, Any]) -> str:
    rows = []
    for way in SIGNALS:
        runs = [run for run in found["runs"] if run["signal"] == way.name]
        rows.append(
            f"| {way.name} | {len(runs)} | {sum(run['caught'] for run in runs)} | "
            f"{sum(run['equal'] for run in runs)} | {max(run['computed_twice'] for run in runs)} | "
            f"{sum(run['broken'] for run in runs)} | {sum(run['drafts_before'] for run in runs)} | "
            f"{sum(len(run['drafts_left']) for run in runs)} | {sum(len(run['locks_left']) for run in runs)} |"
        )
    runs = found["runs"]
    phases = [
        ("before a shard was finished", [run for run in runs if not run["shards_before"]]),
        (
            "while shards were written",
            [run for run in runs if 0 < run["shards_before"] < run["shards"]],
        ),
        ("later", [run for run in runs if run["shards_before"] and run["shards_before"] == run["shards"]]),
    ]
    seconds = min(found["seconds_undisturbed"])
    where = ", ".join(f"{len(among)} {name}" for name, among in phases)
    return f"""# Runs that are killed

`python -m benchmarks.kills --runs {len(runs)} --seed {found["seed"]}` computes all of this
([kills.json](../../benchmarks/results/kills.json)).

The phantom on {found["images"]} images, in shards of {SHARD}; undisturbed it takes {seconds:.0f} seconds.
{len(runs)} runs were ended at a moment drawn evenly from that time, {where};
then the same command was given again.
Equal means: `report.json` apart from seconds and environment, and every stored prediction.

| {" | ".join(COLUMNS)} |
|{"---|" * len(COLUMNS)}
{chr(10).join(rows)}

How that comes about is told in [the store](../guides/store.md).
"""


STUDY = Study("kills", page)


def main() -> None:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = study(given.runs, given.seed, given.jobs, Path(folder))
    STUDY.publish(found)
    if not all(map(sound, found["runs"])):
        raise SystemExit(f"a killed run left something to be seen: see {STUDY.results}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(child(sys.argv[2:]))
    main()
