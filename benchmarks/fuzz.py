"""Checkpoints whose JSON was damaged: one sentence or a reading, and no crash, no hang, nothing written.

    python -m benchmarks.fuzz --n 150

Tiny untrained checkpoints of several families; in each example one to three values of one file are deleted, renamed or
replaced (wrong types, huge, negative, empty), then the checkpoint is loaded and reads two images, in a process of its
own with a limit of time and memory. Writes benchmarks/results/fuzz.json.
"""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.study import Study

FAMILIES = ("llava", "gemma3", "qwen2_vl", "qwen3_vl", "idefics3")
FILES = ("config.json", "processor_config.json", "tokenizer_config.json", "generation_config.json")
SMALL: dict[str, Any] = {
    "image_size": 32, "vision_layers": 3, "vision_width": 32, "text_layers": 3, "text_width": 32, "text_heads": 2,
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 7, 10**5, 10**9, 10**18, -(10**9), 0.5, 1e300, float("nan"), "", "x", "../../x",
    "/etc/passwd", "float8", "llama", [], [1], ["x"], {}, {"x": 1}, [[[]]], "{{ 1/0 }}", "\x00", "a" * 10_000,
)  # fmt: skip
SECONDS, BYTES = 60, 16 << 30


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in nested JSON."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged(data: Any, seed: int) -> tuple[Any, list[str]]:
    """A copy of nested JSON with one to three values deleted, renamed or replaced, and what was done."""
    draw = random.Random(seed)
    data, done = json.loads(json.dumps(data)), []
    for _ in range(draw.randint(1, 3)):
        *above, key = draw.choice(list(places(data)) or [()]) or (None,)
        if key is None:
            break
        holder = data
        for step in above:
            holder = holder[step]
        how = draw.choice(("delete", "rename", "replace", "replace", "replace"))
        value = draw.choice(VALUES)
        where = ".".join(map(str, (*above, key)))
        if how == "delete":
            del holder[key]
        elif how == "rename" and isinstance(holder, dict):
            holder[f"{key}_"] = holder.pop(key)
        else:
            holder[key], how = value, f"{str(value)[:20]!r}"
        done.append(f"{where}: {how}")
    return data, done


def read(folder: Path) -> dict[str, Any]:
    """What becomes of a checkpoint: `outcome`, and the sentence or the numbers."""
    import numpy as np
    from PIL import Image

    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.extraction.pooling import RowCountError
    from medprobe.diagnostics.extraction.rows import NumericalFault
    from medprobe.fixtures.models.anatomy import AnatomyError
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.models.refusals import LoadError
    from medprobe.fixtures.models.registry import ModelError, resolve

    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (h, w, 3), dtype=np.uint8)) for w, h in ((32, 32), (48, 33))]
    try:
        loaded = load(resolve(str(folder)))
        with Extractor(loaded, "Is it normal?", ("normal", "ring"), max_new_tokens=3).hooked() as extractor:
            batch = extractor.read(pictures)
    except (ModelError, LoadError, AnatomyError, NumericalFault, RowCountError) as error:
        return {"outcome": "refused", "text": f"{type(error).__name__}: {error}"}
    except Exception as error:
        return {"outcome": "unforeseen", "text": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    numbers = [float(np.abs(values).sum()) for values in batch.features.values()]
    return {"outcome": "read", "numbers": [*numbers, *batch.option_log_likelihoods.ravel().tolist()]}


def apart(call: Callable[[], dict[str, Any]], cwd: Path) -> dict[str, Any]:
    """`call` in a process of its own, with a limit of time and memory: also `hang` and `crash`."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        os.chdir(cwd)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            found = call()
        except BaseException as error:  # what not even a diagnosis would survive
            found = {"outcome": "crash", "text": type(error).__name__}
        os.write(send, json.dumps(found).encode()[:60_000])
        os._exit(0)
    os.close(send)
    text, deadline = b"", time.monotonic() + SECONDS
    while (left := deadline - time.monotonic()) > 0 and select.select([receive], [], [], left)[0]:
        piece = os.read(receive, 1 << 16)
        if not piece:
            break
        text += piece
    hung = time.monotonic() >= deadline
    if hung:
        os.kill(child, signal.SIGKILL)
    os.close(receive)
    _, status = os.waitpid(child, 0)
    if hung:
        return {"outcome": "hang", "text": f"over {SECONDS} s"}
    return json.loads(text) if text else {"outcome": "crash", "text": f"status {status}"}


def example(base: Path, whole: list[float], seed: int, scratch: Path) -> dict[str, Any]:
    """One damaged copy of `base`, and what became of it."""
    draw = random.Random(seed)
    name = draw.choice([name for name in FILES if (base / name).is_file()])
    folder, cwd = scratch / "checkpoint", scratch / "cwd"
    for place in (folder, cwd):
        shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base, folder)
    cwd.mkdir()
    data, done = damaged(json.loads((base / name).read_text("utf-8")), seed)
    (folder / name).write_text(json.dumps(data), "utf-8")
    before = listing(scratch)
    started = time.perf_counter()
    found = apart(lambda: read(folder), cwd)
    if found["outcome"] == "read":
        found["outcome"] = "read the same" if found.pop("numbers") == whole else "read otherwise"
    if listing(scratch) != before:
        found = {"outcome": "wrote", "text": str(set(listing(scratch)) ^ set(before))}
    seconds = round(time.perf_counter() - started, 1)
    return {"family": base.name, "file": name, "done": done, "seconds": seconds, **found}


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every file below, with its size."""
    return sorted((str(path.relative_to(folder)), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def run(n: int, seed: int) -> dict[str, Any]:
    """`n` examples over the families, and how many came to what."""
    import torch

    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        root = Path(name)
        bases = [build_family(family, root / "whole" / family, seed=1, **SMALL) for family in FAMILIES]
        (root / "scratch").mkdir()
        whole = [apart(partial(read, base), root / "scratch")["numbers"] for base in bases]
        examples = [example(bases[i % len(bases)], whole[i % len(bases)], seed + i, root / "scratch") for i in range(n)]
    for one in examples:
        one["text"] = one.get("text", "").replace(name, "")
    outcomes = Counter(one["outcome"] for one in examples)
    noted = [one for one in examples if one["outcome"] not in ("refused", "read the same", "read otherwise")]
    slowest = max(one["seconds"] for one in examples)
    return {"n": n, "seed": seed, "outcomes": dict(sorted(outcomes.items())), "slowest_s": slowest, "noted": noted}


STUDY = Study("fuzz")


def main() -> None:
    parser = STUDY.parser(__doc__, "--out")
    parser.add_argument("--n", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    found = run(given.n, given.seed)
    print(json.dumps({key: value for key, value in found.items() if key != "noted"}))
    STUDY.publish(found, given.out)


if __name__ == "__main__":
    main()
