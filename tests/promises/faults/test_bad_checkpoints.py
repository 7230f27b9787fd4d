"""Checkpoints that are broken, foreign or hostile: one sentence with the path and the mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.extraction.model_on_demand import ModelOnDemand
from medprobe.fixtures.models.load_options import LoadOptions
from medprobe.fixtures.models.registry import ModelError, check_folder, resolve
from tests.places import ROOT

Copy = Callable[[str], Path]


def edit(path: Path, **changes: Any) -> None:
    data = json.loads(path.read_text())
    for key, value in changes.items():
        *above, last = key.split("__")
        holder = data
        for step in above:
            holder = holder[step]
        holder.pop(last, None) if value is None else holder.update({last: value})
    path.write_text(json.dumps(data))


def load(folder: Path, **options: Any) -> Any:
    from medprobe.fixtures.models.loading import load

    return load(resolve(str(folder)), LoadOptions(**options))


def refused(folder: Path, match: str, **options: Any) -> None:
    from medprobe.fixtures.models.refusals import LoadError

    with pytest.raises(LoadError, match=match) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)
    assert folder.name in str(caught.value)


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value.clone() for name, value in load_file(folder / "model.safetensors").items()}


def save(folder: Path, weights: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_pickles_are_refused_even_beside_a_configuration_that_asks_for_them(copy: Copy) -> None:
    folder = copy("llava")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"weights only as pytorch_model\.bin, which could run code when read"):
        resolve(str(folder))
    edit(folder / "config.json", use_safetensors=False)
    with pytest.raises(ModelError, match="weights only as"):
        resolve(str(folder))


@pytest.mark.parametrize("file", ["tokenizer_config.json", "processor_config.json"])
def test_code_beside_a_known_model_does_not_run(file: str, copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy("llava")
    (folder / "evil.py").write_text("import os\nos.environ['MEDPROBE_EVIL'] = '1'\nclass X: pass\n")
    auto = {"AutoTokenizer": ["evil.X", None], "AutoProcessor": "evil.X", "AutoImageProcessor": "evil.X"}
    edit(folder / file, auto_map=auto, tokenizer_class="X", processor_class="X")
    monkeypatch.delenv("MEDPROBE_EVIL", raising=False)
    from medprobe.fixtures.models.refusals import LoadError

    try:
        load(folder)
    except LoadError as error:
        assert "--trust-remote-code" in str(error) or "--processor" in str(error)  # noqa: PT017
    assert "MEDPROBE_EVIL" not in os.environ


@pytest.mark.parametrize("size", [0, 5, 8, 300, -1])
def test_cut_weights_are_named(size: int, copy: Copy) -> None:
    folder = copy("llava")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:size])
    refused(folder, "cannot be read .*damaged or cut short")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/tmp/x.safetensors", "sub/x.safetensors", "x.bin", ""])
def test_an_index_leads_nowhere_else(name: str, copy: Copy) -> None:
    folder = copy("llava")
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))
    with pytest.raises(ModelError, match="shards are safetensors files in the checkpoint's own folder") as caught:
        resolve(str(folder))
    assert repr(name) in str(caught.value)


def test_an_index_of_absent_shards_names_the_first(copy: Copy) -> None:
    folder = copy("llava")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"lacks 1 of 2 shards, the first is model-1\.safetensors"):
        resolve(str(folder))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_json_is_refused_in_a_sentence_before_anything_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "model.safetensors").write_bytes(b"")
    for name, data in (("config.json", value), ("model.safetensors.index.json", {"weight_map": value})):
        (folder / "config.json").write_text("{}")
        (folder / name).write_text(json.dumps(data))
        try:
            check_folder(folder)
        except ModelError as error:
            assert str(folder) in str(error)  # noqa: PT017


@pytest.mark.parametrize("text", [b"\xff\xfe", b"{", b"[" * 100_000, b'"text"', b"[]", b"null", b""])
def test_what_is_no_configuration(text: bytes, copy: Copy) -> None:
    folder = copy("llava")
    (folder / "config.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"config\.json (is not valid JSON|holds no JSON object)"):
        resolve(str(folder))


def test_tied_weights_are_no_false_alarm(copy: Copy) -> None:
    """A head that is the embedding: saved once, and saved twice."""
    import torch

    folder = copy("llava")
    weights = tensors(folder)
    head = next(name for name in weights if name.endswith("lm_head.weight"))
    embedding = next(name for name in weights if name.endswith("embed_tokens.weight"))
    edit(folder / "config.json", tie_word_embeddings=True, text_config__tie_word_embeddings=True)
    for twice in (True, False):
        weights.pop(head, None)
        if twice:
            weights[head] = weights[embedding].clone()
        save(folder, weights)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = load(folder).model
        assert torch.equal(model.get_output_embeddings().weight, model.get_input_embeddings().weight)


def further(weights: dict[str, Any], last: str, new: str) -> dict[str, Any]:
    """The weights of one block once more, under another number."""
    return {name.replace(last, new): value.clone() for name, value in weights.items() if last in name}


@pytest.mark.parametrize("kind", ["layer", "adapter", "bias", "norm"])
def test_weights_the_configuration_has_no_place_for_are_named(kind: str, copy: Copy) -> None:
    """Otherwise a model of fewer layers, without its adapter or its norms would be measured in silence."""
    import torch

    folder = copy("llava")
    weights = tensors(folder)
    query = next(name for name in weights if name.endswith("layers.0.self_attn.q_proj.weight") and "language" in name)
    stem = query.removesuffix("q_proj.weight")
    extra = {
        "layer": further({n: v for n, v in weights.items() if "language" in n}, "layers.2.", "layers.3."),
        "adapter": {f"{stem}q_proj.lora_A.weight": torch.zeros(2, 2)},
        "bias": {f"{stem}q_proj.bias": torch.zeros(2)},
        "norm": {f"{stem}q_norm.weight": torch.zeros(2)},
    }[kind]
    assert extra
    save(folder, weights | extra)
    refused(folder, rf"holds {len(extra)} weights that its configuration has no place for, the first is .*layers\.")


def test_a_whole_part_the_model_does_not_have_is_only_named(copy: Copy) -> None:
    import torch

    folder = copy("llava")
    save(folder, tensors(folder) | {"pooling_head.dense.weight": torch.zeros(2, 2)})
    with pytest.warns(
        UserWarning, match=r"1 weights are of parts that Llava.* are not used, the first is pooling_head"
    ):
        load(folder)


def test_weights_of_another_architecture(copy: Copy) -> None:
    folder, other = copy("llava"), copy("qwen2_vl")
    (other / "model.safetensors").replace(folder / "model.safetensors")
    refused(folder, "lacks .* weights of LlavaForConditionalGeneration|has weights of other shapes")


def test_weights_of_other_shapes(copy: Copy) -> None:
    folder = copy("llava")
    edit(folder / "config.json", text_config__intermediate_size=48)
    refused(folder, r"has weights of other shapes than its config\.json asks for")


@pytest.mark.parametrize("layers", [10**7, 10**18])
def test_a_configuration_without_end_is_not_begun(layers: int, copy: Copy) -> None:
    folder = copy("llava")
    for part in ("text_config", "vision_config"):
        edit(folder / "config.json", **{f"{part}__num_hidden_layers": layers})
        refused(folder, r"config\.json asks for [\d,]+ blocks, and the weights hold [\d,]+ tensors")


@pytest.mark.parametrize("name", ["size", "crop_size"])
def test_a_processor_of_huge_pictures_is_refused(name: str, copy: Copy) -> None:
    folder = copy("llava_clip")
    edit(folder / "processor_config.json", **{f"image_processor__{name}": {"height": 10**6, "width": 10**6}})
    refused(folder, rf"its processor makes pictures of .* pixels \({name}\).*--processor")


def read(folder: Path, options: tuple[str, ...] = ("normal", "ring")) -> Any:
    import numpy as np
    from PIL import Image

    from medprobe.diagnostics.extraction.extractor import Extractor

    with Extractor(load(folder), "Is it normal?", options, max_new_tokens=2).hooked() as extractor:
        return extractor.read([Image.fromarray(np.zeros((32, 32, 3), np.uint8))])


def written(folder: Path) -> set[int]:
    """The tokens of the turn and of the answers."""
    import numpy as np
    from PIL import Image

    from medprobe.fixtures.models import chat

    model = load(folder)
    turn = chat.inputs(model, [Image.fromarray(np.zeros((32, 32, 3), np.uint8))], "Is it normal?")["input_ids"]
    answers = [model.processor.tokenizer(answer)["input_ids"] for answer in ("normal", "ring")]
    return set(turn.flatten().tolist()).union(*answers)


def test_a_vocabulary_smaller_than_its_tokenizer(copy: Copy) -> None:
    """What is never written may be unknown; a token of the prompt or of an answer may not."""
    from medprobe.fixtures.models.refusals import LoadError

    folder = copy("llava")
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    weights = tensors(folder)
    rows = 1 + max(written(folder))
    for name in [name for name in weights if name.endswith(("embed_tokens.weight", "lm_head.weight"))]:
        weights[name] = weights[name][:rows].clone()
    save(folder, weights)
    edit(folder / "config.json", text_config__vocab_size=rows)
    unknown = [word for word, number in words.items() if number >= rows and word.isalpha()]
    assert unknown
    read(folder)
    with pytest.raises(LoadError, match=rf"llava: its tokenizer writes token \d+ .*the model embeds only {rows};"):
        read(folder, ("normal", unknown[0]))


def test_an_answer_without_tokens_is_named(copy: Copy) -> None:
    from medprobe.fixtures.models.refusals import LoadError

    with pytest.raises(LoadError, match="its tokenizer writes '' without a token"):
        read(copy("llava"), ("normal", ""))


def test_an_image_token_that_is_missing(copy: Copy) -> None:
    from medprobe.diagnostics.extraction.pooling import RowCountError
    from medprobe.fixtures.models.refusals import LoadError

    folder = copy("llava")
    edit(folder / "config.json", image_token_id=7, image_token_index=7)
    with pytest.raises((RowCountError, LoadError), match="image token"):
        read(folder)


def test_quantised_weights_that_cannot_be_read(copy: Copy) -> None:
    folder = copy("llava")
    for method, extra in (("bitsandbytes", {"load_in_4bit": True}), ("gptq", {"bits": 4})):
        edit(folder / "config.json", quantization_config={"quant_method": method, **extra})
        refused(folder, r"has quantised weights \(quantization_config in its config\.json\).*before quantisation")


def test_what_nobody_foresaw_is_one_sentence(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from medprobe.diagnostics import diagnosis, subject
    from medprobe.diagnostics.settings import Settings

    def fail(*_: object) -> None:
        raise IndexError("index out of\n range" + " x" * 1000)

    monkeypatch.setattr(subject, "open_dataset", fail)
    spec = resolve(str(copy("llava")))
    found, predictions = diagnosis.diagnose(
        ModelOnDemand(spec, Settings(store=tmp_path)), "set", lambda: tmp_path, lambda *_: None
    )
    assert predictions is None
    assert found.error.startswith(f"{spec.source} could not be measured on set: IndexError: index out of range x x")
    assert len(found.error) < len(spec.source) + 400
    assert found.verdict is None


def test_damaged_json_is_refused_or_read_and_nothing_is_written(tmp_path: Path) -> None:
    """The committed study is `python -m benchmarks.fuzz --n 150 --out benchmarks/results/fuzz.json`."""
    out = tmp_path / "fuzz.json"
    command = [sys.executable, "-m", "benchmarks.fuzz", "--n", "12", "--seed", "10000", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=200)
    found = json.loads(out.read_text("utf-8"))
    assert sum(found["outcomes"].values()) == 12
    assert set(found["outcomes"]) <= {"refused", "read the same", "read otherwise", "unforeseen"}, found["noted"]
