import json
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from medprobe.fixtures.models import registry
from medprobe.fixtures.models.fingerprint import fingerprint
from medprobe.fixtures.models.registry import ModelError, resolve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"0" * 64)
    return tmp_path


def test_the_paper_has_fourteen_models() -> None:
    entries = registry.registry()
    assert sum(entry.paper for entry in entries.values()) == 14
    assert len({entry.hub for entry in entries.values()}) == len(entries)
    assert all(entry.base in entries for entry in entries.values() if entry.base)


def test_aliases_and_hub_ids() -> None:
    spec = resolve("medgemma")
    assert (spec.name, spec.source, spec.local) == ("medgemma", "google/medgemma-4b-it", False)
    spec = resolve("org/name@v1.0")
    assert (spec.name, spec.source, spec.revision) == ("name", "org/name", "v1.0")
    assert resolve("google/medgemma-4b-it").entry == resolve("medgemma").entry


def test_a_folder_is_named_by_its_base_name(folder: Path) -> None:
    spec = resolve(str(folder) + "/")
    assert (spec.name, spec.source, spec.local, spec.fault) == (folder.name, str(folder), True, None)


def test_a_link_keeps_its_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "last").symlink_to(folder)
    assert resolve(str(tmp_path / "last")).name == "last"


def test_modules_by_hand_are_read(tmp_path: Path) -> None:
    path = tmp_path / "modules.toml"
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        registry.read_modules(path)
    path.write_text('connector = "model.bridge"\n')
    assert registry.read_modules(path) == {"connector": "model.bridge"}
    path.write_text('bridge = "x"\n')
    with pytest.raises(ModelError, match="names bridge; the parts are tower"):
        registry.read_modules(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"bridge", "is no TOML"),
        (b"\xff\xfe", "is no TOML: it is not UTF-8"),
        (b"connector = " + b"[" * 5000, "is no TOML"),
        (b'image_token_id = "7"', "image_token_id is '7', and must be a whole number"),
        (b"image_token_id = true", "must be a whole number"),
        (b"tower = 3", "tower is 3, and must be the name of a module, or a list of names"),
        (b"", "names nothing; the parts are tower"),
        (b"vision_blocks = []", "must be the name of a module, or a list of names"),
        (b'tower = ""', "must be the name of a module, or a list of names"),
        (b"vision_blocks = ['a', 1]", "must be the name of a module, or a list of names"),
    ],
)
def test_a_wrong_file_of_modules_is_refused_in_one_sentence(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "modules.toml"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(says)):
        registry.read_modules(path)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "has no adapter_config.json"),
        ("{", "holds no JSON object"),
        ("[]", "holds no JSON object"),
        ("{}", "has no adapter_model.safetensors"),
    ],
)
def test_a_folder_that_is_no_adapter_is_refused(config: str | None, says: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ModelError, match=says):
        registry.check_adapter(tmp_path)


@pytest.mark.parametrize(
    ("weights", "says"),
    [(b"", "is empty"), (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer")],
)
def test_an_adapter_without_its_weights_is_refused(weights: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=says):
        registry.check_adapter(tmp_path)


@pytest.mark.parametrize(("given", "refused"), [("/nowhere", True), ("./nowhere", True), ("org/name", False)])
def test_a_processor_that_is_written_as_a_path_is_a_folder(given: str, refused: bool) -> None:
    with pytest.raises(ModelError, match="there is no processor folder") if refused else nullcontext():
        registry.check_processor(given)


def test_list_models_names_every_alias() -> None:
    text = registry.list_models()
    assert all(f"{alias} " in text for alias in ["phantom-answer", *registry.registry()])
    assert "gated" in text
    assert max(map(len, text.splitlines())) <= 100


def test_unknown_alias_suggests(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"unknown model 'medgema'.*did you mean medgemma"):
        resolve("medgema")
    with pytest.raises(ModelError, match="there is no folder"):
        resolve(str(tmp_path / "none"))


def test_a_folder_that_is_no_checkpoint(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only as pytorch_model\.bin"):
        resolve(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="no safetensors"):
        resolve(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        resolve(str(folder))
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        resolve(str(folder))


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="this folder as --adapter"):
        resolve(str(folder))


def test_shards_and_pointers(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="Git LFS"):
        resolve(str(folder))
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="lacks 1 of 2 shards"):
        resolve(str(folder))


def test_fingerprint_follows_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    spec = resolve(str(folder))
    first = fingerprint(spec)
    assert fingerprint(spec) == first
    (folder / "README.md").write_text("words")
    assert fingerprint(spec) == first
    (folder / "model.safetensors").write_bytes(b"1" * 65)
    assert fingerprint(spec) != first


def test_the_registry_imports_no_torch() -> None:
    code = (
        "import sys; from medprobe.fixtures.models.registry import resolve, list_models;"
        "import medprobe.fixtures.models.fingerprint;"
        "list_models(); resolve('medgemma'); print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
