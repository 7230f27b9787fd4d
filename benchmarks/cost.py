"""What a diagnosis costs beside the forward passes of its model, each row beside its rival in one run.

    python -m benchmarks.cost [--rows extraction memory ...] [--tiny]

Rows asked for replace those in benchmarks/results/cost.json, and the table in docs/studies/cost.md is written from it.
`--tiny` runs the same code on sizes that say nothing about cost and writes nothing. Times are processor time of the
process where both sides run in it, so that a busy machine changes neither; wall time where processes are compared.
Memory is the most that was resident, reset in a process of its own once the model is warm (Linux).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study import ROOT, STUDIES, Study, filled, quiet

os.environ["HF_HUB_OFFLINE"] = "1"
# Before numpy is imported: threads that wait for a busy processor count as processor time.
os.environ["OMP_NUM_THREADS"] = "1"

PROMPT = "Does this chest radiograph show pneumonia? Answer normal or pneumonia."
ANSWERS = ("normal", "pneumonia")
PREFERENCE = 15.0
"""Logits, under which the other tokens of a random head have less than a millionth of the probability."""
NEW_TOKENS = 4
"""The answers asked for take one to three tokens and an end."""

MODEL: dict[str, Any] = {
    "image_size": 224, "patch_size": 16, "vision_layers": 10, "vision_width": 512, "vision_heads": 8,
    "text_layers": 12, "text_width": 768, "text_heads": 12,
}  # fmt: skip
TINY: dict[str, Any] = {
    "image_size": 32, "vision_layers": 3, "vision_width": 32, "text_layers": 3, "text_width": 32, "text_heads": 2,
}  # fmt: skip
Row = dict[str, Any]


class Bench:
    """Sizes, and what several rows need."""

    def __init__(self, work: Path, tiny: bool) -> None:
        self.work, self.tiny = work, tiny
        self.batch, self.n_batches = (2, 2) if tiny else (8, 8)

    def checkpoint(self, seed: int = 1) -> Path:
        """A LLaVA of random weights."""
        from medprobe.fixtures.phantoms.families.checkpoints import build_family

        folder = self.work / f"random-llava-{seed}"
        return folder if folder.exists() else build_family("llava", folder, seed=seed, **(TINY if self.tiny else MODEL))

    def loaded(self, taught: bool = True) -> Any:
        """The checkpoint; `taught` to begin with an answer, as a model does that any is asked of: by PREFERENCE for the
        first token of its likeliest writing.
        """
        import torch

        from medprobe.fixtures.models.answer_tokens import writings
        from medprobe.fixtures.models.load_options import LoadOptions
        from medprobe.fixtures.models.loading import load
        from medprobe.fixtures.models.registry import resolve

        loaded = load(resolve(str(self.checkpoint())), LoadOptions(dtype="float32"))
        if taught:
            head = loaded.model.get_submodule(loaded.anatomy.head)
            head.bias = torch.nn.Parameter(torch.zeros(len(head.weight)), requires_grad=False)
            head.bias[[ways[0][0] for ways in writings(loaded, PROMPT, ANSWERS)]] = PREFERENCE
        return loaded

    def phantom(self) -> Any:
        """Features and folds of the embedded phantom on its own images."""
        from medprobe.diagnostics.extraction.measurement import measure
        from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
        from medprobe.diagnostics.probes import folds
        from medprobe.diagnostics.settings import Settings
        from medprobe.fixtures.datasets import catalog
        from medprobe.fixtures.datasets.dataset import open_dataset
        from medprobe.fixtures.models.registry import resolve

        settings = Settings(store=self.work / "store")
        dataset = open_dataset(catalog.resolve("phantom"), None, 80 if self.tiny else None)
        spec = resolve("phantom")
        found = measure(ModelOnDemand(spec, settings), dataset, quiet)
        return found, folds.assign(found.labels, found.groups, 5, 0)

    def child(self, code: str) -> Any:
        """What `code` prints last, as JSON, in a process of its own that gives memory back when it frees it."""
        given = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=given, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return json.loads(done.stdout.splitlines()[-1])

    def gate(self, *arguments: str) -> tuple[float, str]:
        """Wall seconds and output of `pytest ARGUMENTS` on the suite."""
        started = time.perf_counter()
        # At exit, since the suite's own start ends the process.
        code = (
            "import atexit, pytest, sys; atexit.register(lambda: print('torch' in sys.modules)); "
            "sys.exit(pytest.main(sys.argv[1:]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", *arguments],
            cwd=ROOT, capture_output=True, text=True,
        )  # fmt: skip
        took = time.perf_counter() - started
        if "verdict:" not in done.stdout:
            raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        return took, done.stdout


def pictures(n: int, side: int = 256) -> list[Any]:
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (side, side, 3), dtype=np.uint8)) for _ in range(n)]


def seconds(call: Callable[[], Any]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


def extraction(bench: Bench) -> Row:
    """All loci and answers beside a bare `generate` of the same answers, batch by batch in turns."""
    untaught = _ratios(bench, bench.loaded(taught=False))[0]
    loaded = bench.loaded()
    ratios, seconds_spent = _ratios(bench, loaded)
    n = bench.batch * bench.n_batches
    return {
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "images": n,
        "images_per_second": round(n / seconds_spent, 2),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(r, 3) for r in ratios],
        "untaught_ratio": round(statistics.median(untaught), 3),
        "aim": "at most 1.10",
        "met": statistics.median(ratios) <= 1.10,
    }


def _ratios(bench: Bench, loaded: Any) -> tuple[list[float], float]:
    """Extraction's time over that of a bare `generate`, a batch each, and the seconds that it took in all."""
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.diagnostics.extraction.inputs import written

    images = pictures(bench.batch)
    answers: dict[str, list[str]] = {}

    def bare() -> None:
        given = extractor.prepare(images).on(loaded.device)
        tokens = loaded.model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1)
        answers["bare"] = [written(loaded.processor.tokenizer, row[given["input_ids"].shape[1] :]) for row in tokens]

    ratios, spent = [], {"bare": 0.0, "extraction": 0.0}
    extractor = Extractor(loaded, PROMPT, ANSWERS, NEW_TOKENS)
    for i in range(bench.n_batches + 1):

        def whole() -> None:
            with extractor.hooked():
                answers["extraction"] = extractor.read(images).texts

        took = {}
        for name, call in [("bare", bare), ("extraction", whole)][:: 1 if i % 2 else -1]:
            took[name] = seconds(call)
        assert answers["bare"] == answers["extraction"]
        if i:  # the first is warming up
            ratios.append(took["extraction"] / took["bare"])
            spent = {name: spent[name] + took[name] for name in spent}
    return ratios, spent["extraction"]


PEAK = """
import gc, json, os, re, sys, torch
from pathlib import Path
from benchmarks import cost
torch.set_num_threads(1)
def resident(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
bench = cost.Bench(Path({work!r}), {tiny!r})
run = cost.MEMORY[{what!r}](bench)
run()
gc.collect()
Path("/proc/self/clear_refs").write_text("5")
before = resident("VmRSS")
for _ in range({repeats}):
    run()
print(json.dumps(resident("VmHWM") - before))
"""


def _bare(bench: Bench, **more: Any) -> Callable[[], Any]:
    from medprobe.diagnostics.extraction.inputs import prepared

    loaded, images = bench.loaded(), pictures(bench.batch)
    given = prepared(loaded, images, PROMPT).on(loaded.device)
    asked = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "num_beams": 1, **more}
    return lambda: loaded.model.generate(**given, **asked)


def _hidden_states(bench: Bench) -> Callable[[], Any]:
    return _bare(bench, output_hidden_states=True, return_dict_in_generate=True)


def _extraction(bench: Bench, options: Sequence[str] = ANSWERS) -> Callable[[], Any]:
    from medprobe.diagnostics.extraction.extractor import Extractor

    extractor = Extractor(bench.loaded(), PROMPT, options, NEW_TOKENS)
    given = extractor.prepare(pictures(bench.batch))

    def run() -> int:
        with extractor.hooked():
            return sum(pooled.nbytes for pooled in extractor.read(given).features.values())

    return run


def _without_answers(bench: Bench) -> Callable[[], Any]:
    """Extraction whose only option is a single token, so that the cache of the prefill is continued for none."""
    return _extraction(bench, ("a",))


def _nnsight(bench: Bench) -> Callable[[], Any]:
    from nnsight import NNsight

    from medprobe.diagnostics.extraction.inputs import prepared

    loaded = bench.loaded()
    given = dict(prepared(loaded, pictures(bench.batch), PROMPT).on(loaded.device))
    traced = NNsight(loaded.model)
    names = [*loaded.anatomy.vision_blocks, *loaded.anatomy.decoder_layers]

    def run() -> None:
        import torch

        with torch.inference_mode(), traced.trace(**given) as tracer:
            kept = tracer.cache(modules=[traced.get(name) for name in names]).save()
        assert len(kept.keys()) == len(names)

    return run


MEMORY: dict[str, Callable[[Bench], Callable[[], Any]]] = {
    "bare": _bare,
    "extraction": _extraction,
    "without_answers": _without_answers,
    "output_hidden_states": _hidden_states,
    "nnsight": _nnsight,
}


def memory(bench: Bench) -> Row:
    """The most that is resident beyond the weights while a batch is read, each way in a process of its own."""
    found: Row = {}
    for what in MEMORY:
        code = PEAK.format(work=str(bench.work), tiny=bench.tiny, what=what, repeats=3)
        bench.checkpoint()
        try:
            found[what] = round(bench.child(code) / 2**20, 1)
        except RuntimeError as error:
            if what != "nnsight":
                raise
            found["nnsight_says"] = str(error).strip().splitlines()[-1]
    beyond = {name: found[name] - found["bare"] for name in MEMORY if name != "bare" and name in found}
    rivals = [beyond[name] for name in ("output_hidden_states", "nnsight") if name in beyond]
    share = max(beyond["extraction"], 0.0) / max(min(rivals), 1e-9)
    return {
        "mib": found,
        "mib_beyond_bare": {name: round(value, 1) for name, value in beyond.items()},
        "features_mib": round(_extraction(bench)() / 2**20, 1),
        "batch": bench.batch,
        "share": round(share, 3),
        "aim": "under 5% of theirs",
        "met": share < 0.05,
    }


def probes(bench: Bench) -> Row:
    """Folds, permutations and control task at every locus of the phantom, beside scikit-learn's loops.

    Of the loops, two loci and three permutations are timed and the rest is taken to cost the same.
    """
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from medprobe.diagnostics.controls.control_task import task
    from medprobe.diagnostics.probes.permutations import permuted_labels
    from medprobe.diagnostics.probes.reading import standardise
    from medprobe.diagnostics.probes.ridge import PENALTIES, Ridge, read_beside, read_ridge

    measured, fold = bench.phantom()
    labels, groups = measured.labels, measured.groups
    n_permutations = 3 if bench.tiny else 100
    sets = permuted_labels(labels, groups, fold, n_permutations, 0)
    control, control_folds = task(labels, groups, 5, 0)
    names = measured.loci()
    arrays = {name: measured.array(name) for name in names}
    accuracy: dict[str, dict[str, float]] = {"ours": {}}

    def ours() -> None:
        for name, x in arrays.items():
            reading, _ = read_beside(x, labels, sets, groups, fold)
            read_ridge(x, control, np.arange(len(labels)), control_folds)
            accuracy["ours"][name] = float(np.mean(reading.predictions == labels))

    def factorise() -> None:
        """The part that no labelling adds to."""
        for x in arrays.values():
            for of, some in ((groups, fold), (np.arange(len(labels)), control_folds)):
                for f in range(5):
                    Ridge.factorise(*standardise(x[some != f], x[some == f]), of[some != f])

    ours()
    found: Row = {
        "images": len(labels),
        "loci": len(names),
        "ours_seconds": round(seconds(ours), 2),
        "factorisation_seconds": round(seconds(factorise), 2),
    }
    timed = [names[0], names[-1]]
    makers = {
        "LogisticRegression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "RidgeClassifierCV": lambda: make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES * 100)),
    }

    def fit(make: Any, x: Any, y: Any, folds: Any, f: int) -> Any:
        return make().fit(x[folds != f], y[folds != f]).predict(x[folds == f])

    for rival, make in makers.items():
        per_locus = {}
        for name in names if rival == "RidgeClassifierCV" else timed:
            x = arrays[name]

            def loop(some: Any, folds: Any, x: Any = x, make: Any = make) -> Any:
                jobs = (joblib.delayed(fit)(make, x, y, folds, f) for y in some for f in range(5))
                return joblib.Parallel(n_jobs=1)(jobs)

            told = np.empty_like(labels)
            for f, part in enumerate(loop([labels], fold)):
                told[fold == f] = part
            accuracy.setdefault(rival, {})[name] = float(np.mean(told == labels))
            if name in timed:
                some = [labels, *sets[:3]]
                started = time.process_time()
                loop(some, fold)
                # The labels, the permutations and the control task's labels are each five fits.
                per_locus[name] = (time.process_time() - started) / len(some) * (n_permutations + 2)
        found[f"{rival}_seconds_scaled"] = round(statistics.mean(per_locus.values()) * len(names), 1)
        shared = accuracy[rival]
        gain = [accuracy["ours"][name] - value for name, value in shared.items()]
        found[f"{rival}_points_behind"] = round(-100 * statistics.mean(gain), 2)
    times = {rival: found[f"{rival}_seconds_scaled"] / found["ours_seconds"] for rival in makers}
    behind = max(found[f"{rival}_points_behind"] for rival in makers)
    return {
        **found,
        "times": {rival: round(value) for rival, value in times.items()},
        "aim": "100 times, within one point",
        "met": min(times.values()) >= 100 and behind <= 1,
    }


def mlp(bench: Bench) -> Row:
    """The paper's head at every locus in one batched training, beside the same heads trained one after the other.

    The loop is timed at one locus of middling width, for every fold and the inner head of every fold.
    """
    import math

    import numpy as np
    import torch

    from medprobe.diagnostics.learning_rate import share_of_rate
    from medprobe.diagnostics.probes import mlp
    from medprobe.diagnostics.probes.reading import standardise

    measured, fold = bench.phantom()
    labels = measured.labels
    names = [name for name in measured.loci() if not name.endswith(".grid")][: 2 if bench.tiny else None]
    arrays = [measured.array(name) for name in names]
    epochs = mlp.EPOCHS
    readings: list[Any] = []
    ours = seconds(lambda: readings.extend(mlp.read_mlp_loci(arrays, labels, fold, 0)))
    middle = len(names) // 2

    def plain(mask: Any) -> Any:
        x = torch.from_numpy(standardise(arrays[middle][mask], arrays[middle])[1].astype(np.float32))
        y, rows = torch.from_numpy(labels), np.flatnonzero(mask)
        head = torch.nn.Sequential(
            torch.nn.Linear(x.shape[1], mlp.HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(mlp.DROPOUT),
            torch.nn.Linear(mlp.HIDDEN, int(labels.max()) + 1),
        )  # fmt: skip
        steps = epochs * math.ceil(len(rows) / mlp.BATCH)
        optimizer = torch.optim.AdamW(head.parameters(), lr=mlp.LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: share_of_rate(s, steps, mlp.WARM_UP))
        for _ in range(epochs):
            order = torch.from_numpy(rows)[torch.randperm(len(rows))]
            for start in range(0, len(rows), mlp.BATCH):
                batch = order[start : start + mlp.BATCH]
                loss = torch.nn.functional.cross_entropy(head(x[batch]), y[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
        head.eval()
        with torch.no_grad():
            return head(x).argmax(dim=1).numpy()

    told = np.empty_like(labels)

    def loop() -> None:
        for f in range(2 if bench.tiny else 5):
            told[fold == f] = plain(fold != f)[fold == f]

    torch.manual_seed(0)
    # The inner heads train on three folds of five where the outer ones train on four.
    theirs = seconds(loop) * (1 + 3 / 4) * len(names)
    agree = float(np.mean(readings[middle].predictions == labels) - np.mean(told == labels))
    return {
        "images": len(labels),
        "loci": len(names),
        "ours_seconds": round(ours, 1),
        "one_by_one_seconds_scaled": round(theirs, 1),
        "times": round(theirs / ours, 1),
        "points_apart": round(100 * agree, 2),
        "aim": "10 times",
        "met": theirs / ours >= 10 and (bench.tiny or abs(agree) <= 0.02),
    }


def second_gate(bench: Bench) -> Row:
    """`pytest --model phantom` twice on one store."""
    given = ("--model", "phantom", "--store", str(bench.work / "twice"), "--report-dir", str(bench.work / "reports"))
    first, before = bench.gate(*given)
    second, after = bench.gate(*given)
    imported, torch = (said.strip().splitlines()[-1] == "True" for said in (before, after))
    assert imported, "a first run without torch: the look for it is broken"
    return {
        "first_seconds": round(first, 1),
        "second_seconds": round(second, 1),
        "torch": torch,
        "aim": "under 5 s, no torch",
        "met": second < 5 and not torch,
    }


GROWTH = """
import json, re, sys, time, torch
from pathlib import Path
from benchmarks import cost
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.extraction.measurement import measure
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets import catalog
from medprobe.fixtures.datasets.dataset import open_dataset
from medprobe.fixtures.models.registry import resolve
torch.set_num_threads(1)
bench = cost.Bench(Path({work!r}), {tiny!r})
spec = resolve(str(bench.checkpoint()))
settings = Settings(store=Path({work!r}) / "growth-{n}", max_new_tokens=cost.NEW_TOKENS, batch_size=4)
def resident(what):
    return int(re.search(what + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
def run(n, store):
    from dataclasses import replace
    on_demand = ModelOnDemand(spec, settings)
    on_demand.load()
    started = time.process_time()
    dataset = open_dataset(catalog.resolve("phantom"), None, n)
    on_demand.settings = replace(settings, store=settings.store / store)
    found = measure(on_demand, dataset, lambda *_: None)
    return time.process_time() - started, len(found.images)
run(16, "warm")
Path("/proc/self/clear_refs").write_text("5")
took, n = run({n}, "run")
print(json.dumps([took, n, resident("VmHWM") / 2**20]))
"""


def growth(bench: Bench) -> Row:
    """Extraction of once, twice, four and ten times the images, each in a process of its own."""
    bench.checkpoint()
    runs = []
    for n in [16, 32] if bench.tiny else [16, 32, 64, 160]:
        code = GROWTH.format(work=str(bench.work), tiny=bench.tiny, n=n)
        runs.append(bench.child(code))
    took, images, resident = zip(*runs, strict=True)
    # What a run costs before its first image is the intercept of the line through the first and the last.
    slope = (took[-1] - took[0]) / (images[-1] - images[0])
    off = max(abs(t - (took[0] + slope * (n - images[0]))) / t for t, n in zip(took, images, strict=True))
    return {
        "images": list(images),
        "seconds": [round(t, 2) for t in took],
        "seconds_an_image": [round(t / n, 3) for t, n in zip(took, images, strict=True)],
        "resident_mib": [round(m) for m in resident],
        "off_the_line": round(off, 3),
        "aim": "linear within 10%, memory flat",
        "met": off <= 0.10 and max(resident) / min(resident) <= 1.05,
    }


def two_models(bench: Bench) -> Row:
    """Two models with `-n 2` and with `-n 0`, one thread a process, each on an empty store; and two phantoms, whose
    forward passes are next to nothing.
    """
    pairs = {
        "random": [str(bench.checkpoint(seed)) for seed in (1, 2)],
        "phantoms": ["phantom", "phantom-connector"],
    }
    row: Row = {}
    for pair, names in pairs.items():
        models = [part for name in names for part in ("--model", name)]
        sizes = ("--dataset", "phantom", *(("--max-images", "96") if pair == "random" else ()))
        took = {}
        for n in ("0", "2"):
            where = bench.work / f"{pair}-{n}"
            took[n], _ = bench.gate("-n", n, *models, *sizes, "--store", str(where), "--report-dir", str(where / "out"))
        row |= {f"{pair}_n{n}_seconds": round(seconds, 1) for n, seconds in took.items()}
        row[f"{pair}_times"] = round(took["0"] / took["2"], 2)
    return {**row, "aim": "1.7 times", "met": row["random_times"] >= 1.7}


def collection(bench: Bench) -> Row:
    """`pytest --collect-only` of the suite beside one empty test, the fastest of five."""
    empty = bench.work / "empty"
    empty.mkdir(exist_ok=True)
    (empty / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    (empty / "pytest.ini").write_text("[pytest]\n")

    def collect(folder: Path) -> float:
        started = time.perf_counter()
        call = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
        subprocess.run(call, cwd=folder, capture_output=True, check=True)
        return time.perf_counter() - started

    pairs = [(collect(empty), collect(ROOT)) for _ in range(1 if bench.tiny else 5)]
    theirs, ours = (min(column) for column in zip(*pairs, strict=True))
    return {
        "empty_seconds": round(theirs, 2),
        "suite_seconds": round(ours, 2),
        "more": round(ours - theirs, 2),
        "aim": "under 0.5 s more",
        "met": ours - theirs < 0.5,
    }


def profile(bench: Bench) -> Row:
    """Where the time of a diagnosis of the phantom goes, seconds by module of this project and of what it calls."""
    import cProfile
    import pstats

    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.datasets import catalog
    from medprobe.fixtures.models.registry import resolve

    settings = Settings(store=bench.work / "profile", max_images=80 if bench.tiny else None)
    profiler = cProfile.Profile()
    profiler.enable()
    diagnosis, _ = diagnose(
        ModelOnDemand(resolve("phantom"), settings), "phantom", lambda: catalog.resolve("phantom"), quiet
    )
    profiler.disable()
    assert diagnosis.error is None, diagnosis.error
    stats: Any = pstats.Stats(profiler)
    steps = {
        "loading the model": ("fixtures/models/loading.py", "load"),
        "decoding images": ("fixtures/datasets/images.py", "open_image"),
        "forward passes and answers": ("diagnostics/extraction/extractor.py", "read"),
        "filters of the reference": ("diagnostics/references/kmeans.py", "features"),
        "attention probes": ("diagnostics/probes/attention.py", "read_attention"),
        "ridge probes and null": ("diagnostics/probes/ridge.py", "_read"),
        "bootstrap": ("diagnostics/judgement/verdicts.py", "signal"),
    }
    spent = dict.fromkeys(steps, 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items():
        for step, (path, name) in steps.items():
            if file.endswith(path) and function == name:
                spent[step] += cumulative
    return {
        "seconds": round(stats.total_tt, 1),
        "steps": {step: round(value, 2) for step, value in spent.items()},
        "timing": {name: round(value, 2) for name, value in diagnosis.timing.items()},
    }


ROWS: dict[str, Callable[[Bench], Row]] = {
    row.__name__: row for row in (extraction, memory, probes, mlp, second_gate, growth, two_models, collection, profile)
}


SAID: dict[str, tuple[str, str, Callable[[Row], str]]] = {
    "extraction": (
        "extraction with all loci and answers",
        "bare `generate` of the same answers, same batches",
        lambda r: f"{r['ratio']} x at {r['images_per_second']} images/s, {r['parameters'] / 1e6:.0f} M parameters",
    ),
    "memory": (
        "peak memory beyond the bare pass",
        "`output_hidden_states=True`; nnsight's cache",
        lambda r: "; ".join(f"{name} {value} MiB" for name, value in r["mib_beyond_bare"].items()),
    ),
    "probes": (
        "5 folds, 100 permutations, control task, all loci",
        "scikit-learn in a joblib loop",
        lambda r: f"{r['ours_seconds']} s; " + ", ".join(f"{v} x faster than {k}" for k, v in r["times"].items()),
    ),
    "mlp": (
        "the paper's MLP for all loci",
        "the same heads one by one in plain torch",
        lambda r: f"{r['ours_seconds']} s, {r['times']} x faster, {abs(r['points_apart'])} points apart",
    ),
    "second_gate": (
        "second gate, nothing new",
        "the first",
        lambda r: f"{r['second_seconds']} s after {r['first_seconds']} s, {'with' if r['torch'] else 'no'} torch",
    ),
    "growth": (
        "1, 2, 4 and 10 times the images",
        "a straight line",
        lambda r: f"off by {100 * r['off_the_line']:.0f}%; " + ", ".join(map(str, r["resident_mib"])) + " MiB resident",
    ),
    "two_models": (
        "two models, `-n 2`",
        "`-n 0` with one thread",
        lambda r: (
            f"{r['random_times']} x ({r['random_n2_seconds']} s, {r['random_n0_seconds']} s); "
            f"two phantoms {r['phantoms_times']} x ({r['phantoms_n2_seconds']} s, {r['phantoms_n0_seconds']} s)"
        ),
    ),
    "collection": (
        "collection",
        "an empty pytest suite",
        lambda r: f"{r['more']} s more ({r['suite_seconds']} s, {r['empty_seconds']} s)",
    ),
}


def table(rows: dict[str, Row]) -> str:
    """Markdown of the rows that have an aim."""
    lines = ["| what | against | measured | aim | met |", "|---|---|---|---|---|"]
    for name, (what, against, said) in SAID.items():
        if name in rows:
            row = rows[name]
            lines.append(f"| {what} | {against} | {said(row)} | {row['aim']} | {'yes' if row['met'] else '**no**'} |")
    return "\n".join(lines)


def where_the_time_goes(row: Row) -> str:
    """Markdown of the profile."""
    lines = [f"| step | seconds of {row['seconds']} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {step} | {value} |" for step, value in row["steps"].items())])


def page(found: Row) -> str:
    """docs/studies/cost.md with its tables put anew."""
    rows = found["rows"]
    return filled(STUDIES / "cost.md", table=table(rows), profile=where_the_time_goes(rows["profile"]))


def machine() -> Row:
    from importlib.metadata import version

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "numpy", "scikit-learn")},
    }


STUDY = Study("cost", page)


def main(arguments: list[str] | None = None) -> dict[str, Row]:
    parser = STUDY.parser(__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--tiny", action="store_true")
    asked = parser.parse_args(arguments)
    import torch

    torch.set_num_threads(1)
    found: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work), asked.tiny)
        for name in asked.rows:
            found[name] = ROWS[name](bench)
            print(name, json.dumps(found[name]), flush=True)
            if not asked.tiny:
                known = STUDY.found()["rows"] | {name: {"machine": machine(), **found[name]}}
                STUDY.publish({"rows": {row: known[row] for row in ROWS if row in known}})
    return found


if __name__ == "__main__":
    main()
