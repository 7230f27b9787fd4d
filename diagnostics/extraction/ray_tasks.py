"""Tasks on the CPUs of a Ray cluster: readings of a diagnosis, cells of the detection matrix."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from medprobe.diagnostics.extraction.cluster import PATIENCE, RESTARTS, ClusterError, connect

Name = TypeVar("Name", bound=Hashable)
Given = TypeVar("Given")


def spread(tasks: Iterable[tuple[Name, Callable[[], Given]]]) -> Iterator[tuple[Name, Given]]:
    """Each task's name with what it gave, in the order in which they end; as many are taken at once as the cluster has
    CPUs, and one whose node is lost is run again on another. Raises ClusterError and what tasks raise.
    """
    ray = connect()
    run = ray.remote(_run).options(num_cpus=1, max_retries=RESTARTS)
    waiting, running = iter(tasks), dict[object, Name]()
    while True:
        n_cpus = int(ray.cluster_resources().get("CPU", 0))
        for name, task in islice(waiting, max(0, n_cpus - len(running))):
            running[run.remote(task)] = name
        if not running and n_cpus:
            return
        ended, _ = ray.wait(list(running), timeout=PATIENCE) if running else ([], [])
        if not ended and not int(ray.cluster_resources().get("CPU", 0)):
            raise ClusterError("no node of the Ray cluster has a CPU; what is finished is kept, so run again")
        for task in ended:
            try:
                given = ray.get(task)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            yield running.pop(task), given


def _run(task: Callable[[], Given]) -> Given:
    return task()
