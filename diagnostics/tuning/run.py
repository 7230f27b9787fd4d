"""One tuning run, from a model and a data set to an adapter, resumed where it was stopped."""

from __future__ import annotations

import importlib.metadata
import json
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from medprobe.diagnostics.extraction.ahead import ahead
from medprobe.diagnostics.tuning import loss_curve, schedule
from medprobe.diagnostics.tuning.patients import Images, Sides, held_out_manifest, split
from medprobe.diagnostics.tuning.plan import TuneError, TuningPlan
from medprobe.fixtures.datasets.dataset import Dataset, open_dataset
from medprobe.fixtures.datasets.errors import UnreadableImage
from medprobe.fixtures.datasets.images import open_image
from medprobe.fixtures.datasets.manifest import load_manifest
from medprobe.fixtures.models.fingerprint import fingerprint
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelSpec
from medprobe.fixtures.whole import settle, write_text

HELD_OUT, FACTS, STATES, HEAD = "held-out.toml", "tuning.json", "state", "head.safetensors"
LOCK = ".lock"
ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
"""The files of an adapter. The last is written last: without it the folder is no adapter."""

LINES = 20
"""Lines of progress."""

Say = Callable[[str], None]


class Refused(TuneError):
    """The folder cannot be tuned into."""


@dataclass(frozen=True)
class Tuned:
    """What a run left: the folder, which is a PEFT adapter, the manifest of the held-out patients in it, and the facts
    of `tuning.json`.
    """

    adapter: Path
    held_out: Path
    facts: dict[str, Any]


def tune(
    spec: ModelSpec,
    manifest: Path,
    out: Path,
    plan: TuningPlan,
    data_root: Path | None = None,
    options: LoadOptions | None = None,
    say: Say = print,
) -> Tuned:
    """Tune `spec` on the data set of `manifest` into the folder `out`; `options` say how it is loaded, but for
    dtype and device, which are the plan's and this process's.

    A run that is finished is left as it is, one that was stopped goes on. Raises TuneError, Refused where `out` is
    another run's, DataError, and the errors of loading.
    """
    import torch
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    plan = replace(
        plan,
        dtype=plan.dtype or ("bfloat16" if torch.cuda.is_available() else "float32"),
        checkpointing=torch.cuda.is_available() if plan.checkpointing is None else plan.checkpointing,
    )
    # A tower may have a last layer that nothing reads.
    handlers = [DistributedDataParallelKwargs(find_unused_parameters=plan.tunes_tower)]
    precision = "bf16" if plan.dtype == "bfloat16" else "no"
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=handlers)
    if accelerator.num_processes > plan.batch:
        raise TuneError(f"--batch-size {plan.batch} is less than an image for each of {accelerator.num_processes} GPUs")
    main = accelerator.is_main_process
    say = say if main else _silent
    with _alone(out) if main else nullcontext():
        dataset = open_dataset(manifest, data_root)
        sides = split(dataset, plan.held_out, plan.max_images, plan.seed)
        asked = _asked(spec, dataset, plan, options or LoadOptions())
        known = _facts(out)
        if known is not None and known["asked"] != asked:
            other = _differing(known["asked"], asked)
            raise Refused(f"{out} holds a run with other settings: {other}; give another folder as --out")
        tuned = Tuned(out, out / HELD_OUT, known or {})
        if (out / ADAPTER[-1]).exists():
            say(f"{out} is finished, and is left as it is")
            return tuned
        readable, excluded = _readable(sides.tuned, dataset.unreadable, plan.max_excluded, say)
        tuned = replace(tuned, facts=_record(asked, dataset, replace(sides, tuned=readable), excluded))
        if main:
            write_text(out / HELD_OUT, held_out_manifest(manifest, dataset, sides.tunable))
            load_manifest(out / HELD_OUT)
            write_text(out / FACTS, json.dumps(tuned.facts, indent=1) + "\n")
        accelerator.wait_for_everyone()
        try:
            _train(accelerator, spec, dataset, readable, out, plan, options or LoadOptions(), say)
        except torch.OutOfMemoryError:
            raise TuneError(
                f"{spec.name} does not fit the GPU's memory while it is tuned; give a smaller --micro-batch than "
                f"{plan.micro_batch}, or a smaller --rank"
            ) from None
        return tuned


def _train(
    accelerator: Any,
    spec: ModelSpec,
    dataset: Dataset,
    images: Images,
    out: Path,
    plan: TuningPlan,
    options: LoadOptions,
    say: Say,
) -> None:
    import torch
    from accelerate.utils import set_seed

    from medprobe.diagnostics.tuning.learners import learner_of
    from medprobe.diagnostics.tuning.states import States
    from medprobe.fixtures.models.loading import load

    # Weights are read where this process computes; on the CPU `load` looks whether they fit.
    device = None if accelerator.device.type == "cpu" else str(accelerator.device)
    loaded = load(spec, replace(options, dtype=plan.dtype, device_map=device))
    set_seed(plan.seed)
    learner = learner_of(loaded, plan, dataset.prompt, dataset.answers, open_image(images[0]))
    trained = list(learner.trained().values())
    optimizer = torch.optim.AdamW(trained, lr=plan.rate, weight_decay=0.0)
    wrapped, optimizer = accelerator.prepare(learner, optimizer)
    set_seed(plan.seed, device_specific=True)
    states = States(out / STATES, accelerator, learner)
    losses = states.load()
    n_steps = plan.n_steps(len(images))
    n_trained = sum(p.numel() for p in trained)
    say(f"{n_trained:,} weights are tuned, on {len(images):,} images in {n_steps:,} steps of {plan.batch}")
    if losses:
        say(f"going on after step {len(losses):,}")
    started, first = time.monotonic(), len(losses)
    for step, pieces in _prepared(learner, accelerator, images, range(first, n_steps), plan):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate_at(step, n_steps)
        total = torch.zeros((), device=accelerator.device)
        for number, given in enumerate(pieces):
            waits = nullcontext() if number == len(pieces) - 1 else accelerator.no_sync(wrapped)
            with waits:
                loss = wrapped(*given).sum() / plan.batch
                # What the processes have is averaged, and means the whole batch's sum.
                accelerator.backward(loss * accelerator.num_processes)
            total += loss.detach()
        accelerator.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(accelerator.reduce(total, "sum")))
        if not math.isfinite(losses[-1]):
            raise TuneError(f"the loss is not a number in step {step + 1}; give a smaller --learning-rate")
        if len(losses) % max(1, n_steps // LINES) == 0:
            left = (time.monotonic() - started) / (len(losses) - first) * (n_steps - len(losses))
            recent = losses[-max(1, n_steps // LINES) :]
            say(f"step {len(losses)}/{n_steps}  loss {sum(recent) / len(recent):.3f}  {left / 60:.0f} min left")
        if len(losses) % plan.save_every == 0 and len(losses) < n_steps:
            states.save(losses)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _finish(learner, out, losses, plan)
    accelerator.wait_for_everyone()


def _prepared(
    learner: Any, accelerator: Any, images: Images, steps: range, plan: TuningPlan
) -> Iterator[tuple[int, list[tuple[Any, Any]]]]:
    """What passes through this process's GPU in each step, made on another thread."""

    def prepare(step: int) -> tuple[int, list[tuple[Any, Any]]]:
        rows = schedule.rows_of(step, len(images), plan.batch, plan.seed)
        pieces = schedule.passes(rows, accelerator.process_index, accelerator.num_processes, plan.micro_batch)
        chosen = [[images[row] for row in piece] for piece in pieces]
        return step, [learner.prepare([open_image(i) for i in some], [i.label for i in some]) for some in chosen]

    return ahead(prepare, steps, 1, 1)


def _finish(learner: Any, out: Path, losses: list[float], plan: TuningPlan) -> None:
    """The loss curve, the tower's head, and last the adapter, by which a run is known to be finished."""
    from safetensors.torch import save_file

    loss_curve.write(out, losses, plan.epochs)
    if not plan.tunes_text:
        save_file({name: value.contiguous() for name, value in learner.head.state_dict().items()}, out / HEAD)
    draft = out / STATES / "adapter"
    learner.adapted.save_pretrained(draft, save_embedding_layers=False)
    for name in ADAPTER:
        settle(draft / name, out / name)
    shutil.rmtree(out / STATES)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps other processes out of `out`. Raises Refused."""
    if out.is_dir() and any(out.iterdir()) and not (out / LOCK).exists():
        raise Refused(f"{out} is not empty and holds no tuning run; give another folder as --out")
    _made(out)
    try:
        with FileLock(out / LOCK, timeout=0):
            yield
    except Timeout:
        raise Refused(f"another process is tuning into {out}; give another folder as --out, or wait") from None


def _made(out: Path) -> None:
    """Raises Refused where `out` cannot be a folder."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{out} cannot be made ({error.strerror}); give another folder as --out") from None


def _readable(images: Images, lost: Sequence[str], most: float, say: Say) -> tuple[Images, list[str]]:
    """The images that can be shown to a model, and why the others cannot; `lost` are files that the disk does not give.
    Raises TuneError.
    """

    def error_of(image: Any) -> str | None:
        try:
            open_image(image)
        except UnreadableImage as error:
            return str(error)
        return None

    errors = list(ahead(error_of, images, 64, 4))
    excluded = [*(f"{name} cannot be read" for name in lost), *(error for error in errors if error is not None)]
    for error in excluded:
        say(f"left out: {error}")
    if len(excluded) > most * (len(images) + len(lost)):
        raise TuneError(
            f"{len(excluded)} of {len(images) + len(lost)} images cannot be read, more than --max-excluded {most:g} "
            f"allows; the first: {excluded[0]}"
        )
    return tuple(image for image, error in zip(images, errors, strict=True) if error is None), excluded


def _asked(spec: ModelSpec, dataset: Dataset, plan: TuningPlan, options: LoadOptions) -> dict[str, Any]:
    """What makes a run the one it is; where it runs, and how often it is saved, do not."""
    revision = fingerprint(spec) if spec.local else spec.revision
    settings = {name: value for name, value in asdict(plan).items() if name not in ("save_every", "micro_batch")}
    used = {name: value for name, value in vars(options).items() if value and name not in ("dtype", "device_map")}
    images = {"dataset": dataset.name, "data_fingerprint": dataset.fingerprint, "prompt": dataset.prompt}
    return {"model": spec.name, "revision": revision, **images, **settings, **used}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    key = next(key for key in (*before, *now) if before.get(key) != now.get(key))
    return f"{key} was {before.get(key)} and is {now.get(key)}"


def _facts(out: Path) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = json.loads((out / FACTS).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return known


def _record(asked: dict[str, Any], dataset: Dataset, sides: Sides, excluded: Sequence[str]) -> dict[str, Any]:
    def count(images: Images) -> dict[str, Any]:
        labels = Counter(dataset.answers[image.label] for image in images)
        return {
            "images": len(images),
            "patients": len({i.group for i in images}),
            "classes": dict(sorted(labels.items())),
        }

    return {
        "asked": asked,
        "tuned": count(sides.tuned),
        "held_out": count(sides.held_out),
        "excluded": list(excluded),
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "accelerate")
        },
    }


def _silent(_: str) -> None:
    """What other processes than the first say."""
