"""Image tokens replaced: those that see the place, and as many elsewhere, by what the others have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from medprobe.diagnostics.extraction.inputs import prepared
from medprobe.diagnostics.grounding.patching import Patch, UnknownLattice, _patches, _patching, choose, covers
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve

PROMPT = "What is seen?"


def place(rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros((64, 64), bool)
    found[rows, columns] = True
    return found


@pytest.mark.parametrize("family", ["llava", "gemma3", "qwen2_5_vl"])
def test_the_tokens_that_see_a_place_lie_there(checkpoints, family):
    loaded = load(resolve(str(checkpoints[family])))
    upper, lower = place(slice(0, 32), slice(0, 32)), place(slice(32, 64), slice(32, 64))
    ids = prepared(loaded, [Image.new("RGB", (64, 64))], PROMPT).batch["input_ids"]
    n_tokens = int((ids == loaded.anatomy.image_token_id).sum())
    side = round(n_tokens**0.5)
    for found, wanted in zip(covers(loaded, PROMPT, [upper, lower]), (upper, lower), strict=True):
        assert found.shape == (n_tokens,)
        step = 64 / side
        centres = ((np.arange(side) + 0.5) * step).astype(int)
        np.testing.assert_array_equal(found.reshape(side, side) > 0.5, wanted[np.ix_(centres, centres)])


def test_tiles_give_no_place(checkpoints):
    loaded = load(resolve(str(checkpoints["llava_next"])))
    with pytest.raises(UnknownLattice):
        covers(loaded, PROMPT, [place(slice(0, 9), slice(0, 9))])


def test_as_many_tokens_elsewhere():
    here = np.array([0.9, 0.5, 0.05, 0, 0, 0, 0, 0, 0, 0])
    lesion, other = choose(here, here[::-1])
    assert lesion.nonzero()[0].tolist() == [0, 1]
    assert other.nonzero()[0].tolist() == [8, 9]
    everything, as_many = choose(np.ones(9), np.zeros(9))
    assert everything.sum() == as_many.sum() == 3
    assert not (everything & as_many).any()
    assert choose(np.zeros(9), np.zeros(9))[0].sum() == 1
    # Tokens that see as much but for rounding: the first ones.
    noisy = np.array([1, 1 - 1e-8, 1 + 1e-8, 1, 1, 1 + 2e-8, 0, 0, 0])
    lesion, other = choose(noisy, noisy)
    assert (lesion.nonzero()[0].tolist(), other.nonzero()[0].tolist()) == ([0, 1, 2], [3, 4, 5])


def test_the_decoder_is_given_the_mean_of_the_other_tokens(checkpoints):
    loaded = load(resolve(str(checkpoints["llava"])))
    pictures = [Image.fromarray(np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)) for i in (0, 1)]
    here, there = place(slice(0, 20), slice(0, 20)), place(slice(40, 60), slice(40, 60))
    patch, _ = _patches(loaded, PROMPT, [here, there], [there, here])
    batch = prepared(loaded, pictures, PROMPT).batch
    first = loaded.model.get_submodule(loaded.anatomy.decoder_layers[0])

    def given(patched: Patch | None) -> torch.Tensor:
        seen = []
        with _patching(loaded) as use:
            use(patched or Patch(torch.zeros(1, 1, dtype=torch.bool), torch.zeros(1, 1, dtype=torch.bool)))
            handle = first.register_forward_pre_hook(
                lambda _m, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
            )
            with torch.inference_mode():
                loaded.model(**batch)
            handle.remove()
        return seen[0]

    before, after = given(None), given(patch)
    # But for rounding: tower and connector ran twice.
    torch.testing.assert_close(before[~patch.replaced], after[~patch.replaced], rtol=1e-5, atol=1e-5)
    for i in range(2):
        mean = before[i, patch.others[i]].mean(dim=0)
        assert patch.replaced[i].any()
        assert torch.allclose(after[i, patch.replaced[i]], mean.expand_as(after[i, patch.replaced[i]]), atol=1e-5)
    assert not first._forward_pre_hooks
