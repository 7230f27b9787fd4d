"""Extraction and probing on a Ray cluster."""

from __future__ import annotations

import threading
import time
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from medprobe.diagnostics.extraction import cluster
from medprobe.diagnostics.extraction.cluster import ClusterError, places
from medprobe.diagnostics.extraction.ray_tasks import spread
from medprobe.plugins import call
from medprobe.plugins.options import OPTIONS
from medprobe.plugins.project import CallError, Config
from tests.runs.calling import medprobe
from tests.runs.scale.watching import equal


@pytest.mark.parametrize(
    ("nodes", "several", "expected"),
    [
        ([{"CPU": 16, "GPU": 4}, {"CPU": 8, "GPU": 2}, {"CPU": 64}], False, (6, {"num_gpus": 1})),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 8, "GPU": 2}, {"CPU": 64}], True, (3, {"num_gpus": 2})),
        ([{"CPU": 0}, {"CPU": 4}, {"CPU": 2}], False, (2, {"num_cpus": 2})),
    ],
)
def test_an_actor_has_a_gpu_or_the_cpus_of_a_node(nodes, several, expected):
    assert places(nodes, several) == expected


def test_without_the_package_the_call_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    options = {name.strip("-").replace("-", "_"): settings.get("default") for name, settings in OPTIONS}
    with pytest.raises(CallError, match="--engine ray needs the package ray: pip install ray"):
        call.resolve(options | {"engine": "ray"}, tmp_path, Config())


def test_workers_beside_the_cluster_are_refused(tmp_path):
    pytest.importorskip("ray", reason="the package ray is not there")
    refused = medprobe("--engine", "ray", "-n", "2", report_dir=tmp_path / "reports")
    assert refused.code == pytest.ExitCode.USAGE_ERROR
    assert refused.err.strip() == ("ERROR: --engine ray spreads every model over the cluster by itself; leave out -n")


class Lost(Exception):
    pass


class Raised(Exception):
    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class FakeRay:
    """Calls finish in the order they were made; an actor answers as often as `lives` says, then it is lost, and starts
    again as often as `restarts` says."""

    exceptions = SimpleNamespace(RayActorError=Lost, RayTaskError=Raised)

    def wait(self, calls, timeout):
        return (calls[:1], calls[1:]) if calls[0] is not None else ([], calls)

    def get(self, call):
        return call()


class FakeTasks:
    """As many tasks at once as there are processors; the oldest ends first."""

    exceptions = FakeRay.exceptions

    def __init__(self, n_cpus: int) -> None:
        self.n_cpus = n_cpus
        self.running: list[Any] = []

    def cluster_resources(self):
        return {"CPU": self.n_cpus}

    def remote(self, function):
        def submit(task):
            call = lambda: function(task)  # noqa: E731
            self.running.append(call)
            return call

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=submit))

    def wait(self, calls, timeout):
        return calls[:1], calls[1:]

    def get(self, call):
        try:
            return call()
        except Exception as error:
            raise Raised(error) from None
        finally:
            self.running.remove(call)


class FakeReader:
    def __init__(self, name: str, lives: int, restarts: int) -> None:
        self.name, self.lives, self.restarts = name, lives, restarts
        self.ready = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda: self._placed))
        self.read = SimpleNamespace(remote=lambda chunk: lambda: self._read(chunk))

    def _placed(self) -> None:
        if self.lives == 0:
            if self.restarts == 0:
                raise Lost
            self.restarts, self.lives = self.restarts - 1, 1

    def _read(self, chunk: str) -> str:
        if self.lives == 0:
            raise Lost
        self.lives -= 1
        return f"{chunk} by {self.name}"


def results(readers: Any, chunks: Any) -> dict[Any, Any]:
    return dict(cluster._results(FakeRay(), readers, chunks))


def test_a_lost_actor_s_chunk_goes_to_another():
    found = results([FakeReader("a", 1, 0), FakeReader("b", 9, 0)], list("pqrst"))
    assert set(found) == set("pqrst")
    assert sum(by.endswith("a") for by in found.values()) == 1


def test_an_actor_that_is_started_again_works_on():
    assert set(results([FakeReader("a", 1, 4)], list("pqrst"))) == set("pqrst")


def test_all_actors_lost_is_one_sentence():
    with pytest.raises(ClusterError, match="3 shards are left"):
        results([FakeReader("a", 1, 0), FakeReader("b", 1, 0)], list("pqrst"))


def test_a_task_whose_cluster_has_no_processor_is_one_sentence(monkeypatch):
    ray = FakeTasks(0)
    monkeypatch.setattr("medprobe.diagnostics.extraction.ray_tasks.connect", lambda: ray)
    with pytest.raises(ClusterError, match="no node of the Ray cluster has a CPU"):
        list(spread([("a", lambda: 1)]))


def test_no_more_tasks_are_taken_than_there_are_processors(monkeypatch):
    ray = FakeTasks(2)
    monkeypatch.setattr("medprobe.diagnostics.extraction.ray_tasks.connect", lambda: ray)
    taken: list[int] = []

    def square(i: int) -> int:
        taken.append(len(ray.running))
        return i * i

    tasks = ((i, partial(square, i)) for i in range(5))
    assert dict(spread(tasks)) == {i: i * i for i in range(5)}
    assert max(taken) == 2


def test_what_a_task_raises_is_raised_here(monkeypatch):
    monkeypatch.setattr("medprobe.diagnostics.extraction.ray_tasks.connect", lambda: FakeTasks(1))
    with pytest.raises(ZeroDivisionError):
        list(spread([("a", lambda: 1 / 0)]))


def test_what_an_actor_raises_is_raised_here():
    reader = FakeReader("a", 1, 0)
    reader.read = SimpleNamespace(remote=lambda chunk: lambda: (_ for _ in ()).throw(Raised(OSError("broken"))))
    with pytest.raises(OSError, match="broken"):
        results([reader], ["p"])


@pytest.fixture
def two_nodes(monkeypatch):
    """A cluster of two nodes with one processor each; the second."""
    pytest.importorskip("ray", reason="the package ray is not there")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=small)
    second = nodes.add_node(**{key: value for key, value in small.items() if key != "include_dashboard"})
    yield nodes, second
    nodes.shutdown()


@pytest.mark.slow
def test_a_node_lost_on_the_way_changes_nothing(two_nodes, watched, alone, tmp_path):
    nodes, second = two_nodes
    store = tmp_path / "store"
    ended = threading.Event()

    def lose() -> None:
        while not ended.is_set() and not list(store.glob("*/*.safetensors")):
            time.sleep(0.02)
        nodes.remove_node(second, allow_graceful=False)

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        run = watched("--engine", "ray", "-n", "0", store=store, RAY_ADDRESS=nodes.address)
    finally:
        ended.set()
        thread.join()
    assert run.run.code == 0, run.run.out + run.run.err
    assert equal(run, alone, "phantom")
    assert not run.extracted("phantom"), "the driver extracts nothing"
    loci = {"connector.0.grid", "connector.0.mean", "vision.3.grid", "llm.3.last", "options"}
    assert loci < set(run.spread()), "nor probes"
    # Exits of tower and connector are read by attention too.
    assert {name for name, n in run.spread().items() if n > 1} == {"connector.0.grid", "vision.3.grid"}
