"""Extraction on the nodes of a Ray cluster: actors hold the model, chunks of images are their tasks.

The process that judges is the driver. It writes what comes back into its store, so nodes share no store with it, but
checkpoint and images lie at the same place on all of them.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medprobe.diagnostics.extraction.measurement import Chunks, Extracted, Progress, extract_here
from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.diagnostics.settings import Settings
from medprobe.fixtures.datasets.dataset import Dataset
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.models.registry import ModelSpec

HOME = Path(__file__).resolve().parents[2]

RESTARTS = 3
"""How often Ray starts an actor again, on whichever node has room."""

PATIENCE = 600.0
"""Seconds to wait for a node that has room for the model, when none of the actors works."""


class ClusterError(RuntimeError):
    """The cluster cannot be reached, or does no more work."""


@dataclass(frozen=True)
class Read:
    """What an actor gives for a chunk; `said` are the warnings of reading it."""

    chunks: list[Extracted]
    excluded: dict[str, str]
    said: list[str]
    about: dict[str, str] | None


class Reader:
    """The actor: a model, loaded when the first chunk needs it."""

    def __init__(self, spec: ModelSpec, settings: Settings, question: Dataset) -> None:
        self._model = ModelOnDemand(spec, settings)
        self._question = question

    def ready(self) -> None:
        """Returns once the actor has a place."""

    def read(self, chunk: Sequence[ImageFile]) -> Read:
        """Raises the errors of loading and reading."""
        excluded: dict[str, str] = {}
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            chunks = list(extract_here(self._model, self._question, [chunk], excluded, lambda *_: None))
        texts = [str(warning.message) for warning in said if issubclass(warning.category, UserWarning)]
        return Read(chunks, excluded, texts, self._model.about if chunks else None)


def connect() -> Any:
    """Ray, connected to the cluster of RAY_ADDRESS, to one that runs on this machine, or to one started for this
    process. Raises ClusterError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if not ray.is_initialized():
        try:
            # Nodes run the driver's version of the suite, whatever they have.
            code = {"py_modules": [str(HOME / package) for package in ("diagnostics", "fixtures")]}
            ray.init(runtime_env=code, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = os.environ.get("RAY_ADDRESS", "on this machine")
            raise ClusterError(f"the Ray cluster {where} cannot be reached ({_first(error)})") from None
    return ray


def places(nodes: Sequence[dict[str, float]], several: bool) -> tuple[int, dict[str, float]]:
    """How many actors the nodes hold and what Ray reserves for each, from the resources of every node.

    With GPUs, an actor has one, or with `several` as many as the smallest of their nodes; without, the CPUs of a node.
    """
    gpus = [int(node["GPU"]) for node in nodes if node.get("GPU", 0) >= 1]
    if gpus:
        each = min(gpus) if several else 1
        return sum(n // each for n in gpus), {"num_gpus": each}
    cpus = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    return len(cpus), {"num_cpus": min(cpus, default=1)}


def extract(
    model: ModelOnDemand,
    dataset: Dataset,
    chunks: Chunks,
    excluded: dict[str, str],
    progress: Progress,
) -> Iterator[Extracted]:
    """`chunks`, in the order in which actors finish them. Raises ClusterError and what actors raise."""
    ray = connect()
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_actors, reserved = places(nodes, model.settings.load.device_map is not None)
    actor = ray.remote(Reader).options(max_restarts=RESTARTS, scheduling_strategy="SPREAD", **reserved)
    question = replace(dataset, images=(), unreadable=())
    readers = [actor.remote(model.spec, model.settings, question) for _ in range(min(n_actors, len(chunks)))]
    done, n_images = 0, sum(map(len, chunks))
    try:
        for chunk, read in _results(ray, readers, chunks):
            done += len(chunk)
            excluded.update(read.excluded)
            for text in read.said:
                warnings.warn(text, stacklevel=2)
            if read.about is not None:
                model.tell(read.about)
            yield from read.chunks
            progress("extracting", done, n_images)
    finally:
        # The judgement loads the model itself, maybe on a device that an actor holds.
        for reader in readers:
            ray.kill(reader)


def _results(ray: Any, readers: Sequence[Any], chunks: Chunks) -> Iterator[tuple[Sequence[ImageFile], Read]]:
    """Every chunk with what was read of it. A chunk whose actor is lost goes to the next that is free."""
    waiting = deque(chunks)
    idle: list[Any] = []
    work: dict[Any, tuple[Any, Sequence[ImageFile] | None]] = {_placed(reader): (reader, None) for reader in readers}
    while waiting or any(chunk is not None for _, chunk in work.values()):
        while idle and waiting:
            free, given = idle.pop(), waiting.popleft()
            work[free.read.remote(given)] = free, given
        reading = any(chunk is not None for _, chunk in work.values())
        finished, _ = ray.wait(list(work), timeout=None if reading else PATIENCE) if work else ([], [])
        if not finished:
            raise ClusterError(
                f"no node of the Ray cluster has room for the model any more, {len(waiting)} shards are left; what is "
                "finished is kept, so run again"
            )
        reader, chunk = work.pop(finished[0])
        try:
            read = ray.get(finished[0])
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayActorError:
            if chunk is not None:
                waiting.appendleft(chunk)
                work[_placed(reader)] = reader, None
            continue
        idle.append(reader)
        if chunk is not None:
            yield chunk, read


def _placed(reader: Any) -> Any:
    """Done once Ray has a place for the actor, after a loss on another node; an error where it gives up."""
    return reader.ready.options(max_task_retries=-1).remote()


def _first(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
