"""Batches keep the order, wait for nobody, and shrink where memory runs out."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medprobe.diagnostics.extraction.ahead import ahead
from medprobe.diagnostics.extraction.batches import MOST, Limit, budget, read_all


def pictures(widths: Sequence[int]) -> list[Image.Image]:
    return [Image.new("RGB", (width, 1)) for width in widths]


class Device:
    """Reads the widths of pictures; out of memory above `room` padded columns."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []
        self.failures = 0

    def prepare(self, images: Sequence[Image.Image]) -> list[int]:
        return [image.width for image in images]

    def read(self, widths: list[int]) -> list[int]:
        if len(widths) * max(widths) > self.room:
            self.failures += 1
            raise torch.OutOfMemoryError
        self.sizes.append(len(widths))
        return widths


@given(st.lists(st.integers(1, 9), max_size=40), st.integers(9, 60), st.integers(1, 20), st.none() | st.integers(1, 90))
@settings(deadline=None, max_examples=60)
def test_every_image_once_and_in_order(widths: list[int], room: int, images: int, tokens: int | None) -> None:
    device = Device(room)
    read = read_all(device.prepare, device.read, pictures(widths), Limit(images, tokens), lambda image: image.width)
    assert [width for batch in read for width in batch] == widths
    assert max(device.sizes, default=0) <= images


def test_batches_hold_as_many_padded_tokens_as_fit() -> None:
    device = Device(1000)
    widths = [2, 2, 2, 2, 5, 2, 2, 10, 20]
    list(read_all(device.prepare, device.read, pictures(widths), Limit(4, 10), lambda image: image.width))
    assert device.sizes == [4, 2, 1, 1, 1]


@pytest.mark.parametrize("tokens", [None, 64])
def test_what_did_not_fit_is_not_tried_again(tokens: int | None) -> None:
    device, limit = Device(9), Limit(32, tokens)
    for _ in range(2):
        list(read_all(device.prepare, device.read, pictures([1] * 64), limit, lambda image: image.width))
    # 32 and 16 did not fit; batches prepared before that was known fail on their own.
    assert max(device.sizes) == 8
    assert device.failures <= 2 * 4
    before = device.failures
    list(read_all(device.prepare, device.read, pictures([1] * 64), limit, lambda image: image.width))
    assert device.failures == before
    assert Limit.parse(str(limit)).fits([1] * 8)
    assert not Limit.parse(str(limit)).fits([1] * 9)


def test_one_image_too_many_is_an_error() -> None:
    device = Device(5)
    with pytest.raises(torch.OutOfMemoryError):
        list(read_all(device.prepare, device.read, pictures([1, 6]), Limit(4)))


def test_the_next_batches_are_prepared_while_one_is_read() -> None:
    prepared = threading.Semaphore(0)

    def prepare(images: Sequence[Image.Image]) -> int:
        prepared.release()
        return len(images)

    def read(n: int) -> int:
        # The first batch is prepared, and the one after it without anybody asking for it.
        return sum(prepared.acquire(timeout=10) for _ in range(2))

    assert next(read_all(prepare, read, pictures([1] * 8), Limit(1))) == 2


def test_no_more_is_prepared_than_asked_for() -> None:
    taken: list[int] = []

    def items() -> Any:
        for i in range(100):
            taken.append(i)
            yield i

    made: Any = ahead(lambda i: -i, items(), 3, 2)
    assert [next(made) for _ in range(5)] == [0, -1, -2, -3, -4]
    assert len(taken) == 5 + 3
    made.close()


def test_a_failure_ahead_is_raised_in_its_place() -> None:
    made: Any = ahead(lambda i: 6 // i, [3, 2, 0, 1], 4, 2)
    assert next(made) == 2
    assert next(made) == 3
    with pytest.raises(ZeroDivisionError):
        next(made)


@given(st.integers(1, 4000), st.integers(1, 10**9), st.integers(1, 10**11))
def test_a_budget_takes_between_a_quarter_and_half_of_what_is_free(n_tokens: int, used: int, free: int) -> None:
    tokens = budget(n_tokens, used, free)
    assert tokens & (tokens - 1) == 0
    if tokens > 1:
        assert free / 4 - 1 <= tokens * used / n_tokens * (1 + 1e-9) + used / n_tokens
        assert tokens * used / n_tokens <= free / 2 * (1 + 1e-9)


def test_a_limit_is_written_as_it_is_read() -> None:
    assert str(Limit(16)) == "16"
    assert Limit.parse("8192t") == Limit(MOST, 8192)
