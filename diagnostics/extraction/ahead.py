"""Work done on other threads before it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Given = TypeVar("Given")


def ahead(call: Callable[[Item], Given], items: Iterable[Item], depth: int, threads: int) -> Iterator[Given]:
    """`call` of each item, in order, computed on other threads at most `depth` items ahead."""
    waiting: deque[Future[Given]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
