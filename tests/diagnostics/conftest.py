import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny untrained checkpoint of every family."""
    from fixtures.models.families import FAMILIES, build_family

    root = tmp_path_factory.mktemp("checkpoints")
    sizes = {
        "image_size": 32,
        "vision_layers": 3,
        "vision_width": 32,
        "text_layers": 3,
        "text_width": 32,
        "text_heads": 2,
    }
    return {name: build_family(name, root / name, seed=1, **sizes) for name in FAMILIES}
