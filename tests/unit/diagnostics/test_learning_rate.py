"""The schedule of everything that is trained."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.learning_rate import share_of_rate

STEPS, SHARES = st.integers(2, 2000), st.sampled_from([0.0, 0.05, 0.1, 0.5])


@given(STEPS, SHARES)
def test_it_is_that_of_transformers_whose_rise_begins_a_step_later(n_steps: int, warm_up: float) -> None:
    import torch
    from transformers.optimization import get_cosine_schedule_with_warmup

    n_rising = max(1, round(warm_up * n_steps))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_schedule_with_warmup(optimizer, n_rising, n_steps).lr_lambdas[0]
    ours = [share_of_rate(step, n_steps, warm_up) for step in range(n_steps + 1)]
    assert ours[:n_rising] == [theirs(step + 1) for step in range(n_rising)]
    falling = [theirs(step) for step in range(n_rising, n_steps + 1)]
    assert all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-15) for a, b in zip(ours[n_rising:], falling, strict=True))


@given(STEPS, SHARES)
def test_it_rises_to_the_full_rate_and_falls_to_none(n_steps: int, warm_up: float) -> None:
    shares = [share_of_rate(step, n_steps, warm_up) for step in range(n_steps + 1)]
    peak = max(1, round(warm_up * n_steps)) - 1
    assert min(shares[:-1]) > 0
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak] == 1
    assert shares[peak + 1 :] == sorted(shares[peak + 1 :], reverse=True)
    assert math.isclose(shares[-1], 0, abs_tol=1e-12)
