"""Memory is checked before a model is loaded, and a pass keeps no more than it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models import loading
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.refusals import LoadError
from medprobe.fixtures.models.registry import resolve
from medprobe.fixtures.models.size import memory
from medprobe.fixtures.models.size.shapes import architectures
from tests.family_names import FAMILIES

BYTES_FREE = 50_000


class Unread:
    """A class of models whose weights must not be asked for."""

    @staticmethod
    def from_pretrained(*_: object, **__: object) -> None:
        pytest.fail("weights were read")


@pytest.mark.parametrize("family", FAMILIES)
def test_too_little_memory_ends_the_model_before_its_weights(
    family: str, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda: BYTES_FREE)
    monkeypatch.setattr(loading, "_factory", lambda *_: Unread)
    with pytest.raises(LoadError, match=r"needs .* GB of memory in float32, and 5e-05 GB are free; try --dtype"):
        loading.load(resolve(str(checkpoints[family])))


def test_a_device_map_is_not_checked(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda: BYTES_FREE)
    assert loading.load(resolve(str(checkpoints["qwen2_vl"])), LoadOptions(device_map="cpu")).model is not None


def test_the_sentence_names_what_would_help() -> None:
    from medprobe.fixtures.models.size.meta import config_of

    sizes = config_of(architectures()["gemma-3-27b"])
    least = 27_432_406_640 * 2
    assert memory.shortage(sizes, "bfloat16", None, int(1.1 * least)) is None
    said = memory.shortage(sizes, "bfloat16", None, 24_000_000_000)
    assert said is not None
    assert "24 GB are free; try --quantize 4bit, --device-map auto" in said
    assert memory.shortage(sizes, "bfloat16", "4bit", 24_000_000_000) is None
    assert "--dtype bfloat16" in str(memory.shortage(sizes, "float32", None, 0))


def test_it_is_an_error_of_that_diagnosis(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medprobe.diagnostics.diagnosis import diagnose
    from medprobe.diagnostics.settings import Settings
    from medprobe.fixtures.phantoms.images import draw_dataset

    draw_dataset(tmp_path, 12, 2, 3)
    monkeypatch.setattr(loading, "free_memory", lambda: BYTES_FREE)
    spec = resolve(str(checkpoints["gemma3"]))
    settings = Settings(tmp_path / "store")
    found, _ = diagnose(ModelOnDemand(spec, settings), "x", lambda: tmp_path / "manifest.toml", lambda *_: None)
    assert found.error is not None
    assert found.error.startswith(f"{spec.source} needs")


def test_pooled_states_keep_no_layer_alive(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    from medprobe.diagnostics.extraction.extractor import Extractor

    extractor = Extractor(loading.load(resolve(str(checkpoints["llava"]))), "Normal?", ["yes", "no"], 2)
    kept = {}
    gather = extractor._gather

    def watch(recorder):
        kept.update(recorder.features)
        return gather(recorder)

    monkeypatch.setattr(extractor, "_gather", watch)
    with extractor.hooked():
        extractor.read([Image.new("RGB", (32, 32))] * 2)
    assert kept
    assert all(state.untyped_storage().nbytes() == state.numel() * 4 for state in kept.values())
