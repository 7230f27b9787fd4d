from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("torch finds no GPU")
