"""The probability of each option, against a sum over all texts that a small chain of tokens may write."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

N_TOKENS, END = 5, 4
Tokens = tuple[int, ...]


class Chain:
    """A model whose next token depends on the last one; a row of `tables` an image."""

    def __init__(self, tables: Any) -> None:
        import torch

        self.tables = torch.from_numpy(tables).float().log()
        self.asked: list[int] = []

    def output(self, tokens: Any) -> Any:
        from transformers import DynamicCache
        from transformers.modeling_outputs import CausalLMOutputWithPast

        logits = self.tables[np.arange(len(tokens))[:, None], tokens]
        return CausalLMOutputWithPast(logits=logits, past_key_values=DynamicCache())

    def __call__(self, input_ids: Any, attention_mask: Any, position_ids: Any, **_: Any) -> Any:
        assert attention_mask.shape[1] == 1 + input_ids.shape[1]
        assert position_ids[0].tolist() == list(range(1, 1 + input_ids.shape[1]))
        self.asked.append(input_ids.shape[1])
        return self.output(input_ids)


def scored(tables: Any, options: Any) -> tuple[Any, list[Tokens]]:
    import torch

    from medprobe.diagnostics.extraction.options import score_options

    model = Chain(tables)
    fed: list[Tokens] = []
    batch = {"attention_mask": torch.ones(len(tables), 1, dtype=torch.long)}
    start = model.output(torch.zeros(len(tables), 1, dtype=torch.long))
    found = score_options(model, options, batch, {}, start, fed.append)
    assert model.asked == [len(tokens) for tokens in fed]
    return found, fed


def chances(seed: int, n_images: int, sharpness: float) -> Any:
    """[n_images, N_TOKENS, N_TOKENS], rows that sum to 1."""
    logits = np.random.default_rng(seed).normal(size=(n_images, N_TOKENS, N_TOKENS)) * sharpness
    return np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)


def likelihood(table: Any, text: Tokens) -> float:
    return float(np.prod([table[a, b] for a, b in itertools.pairwise((0, *text))]))


ways = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple), min_size=1, max_size=4, unique=True)
two_answers = st.tuples(ways, ways).filter(lambda pair: not set(pair[0]) & set(pair[1]))


@given(two_answers, st.integers(0, 99), st.sampled_from([0.5, 3.0]), st.booleans())
def test_the_texts_that_begin_with_an_answer(
    tokens: tuple[list[Tokens], list[Tokens]], seed: int, sharpness: float, ended: bool
) -> None:
    """All texts of four tokens, each counted for an answer once, however many of its writings it begins with."""
    from medprobe.diagnostics.extraction.options import NEGLIGIBLE, exclusive

    options = exclusive(list(tokens), [END] if ended else [])
    tables = chances(seed, 3, sharpness)
    found, fed = scored(tables, options)
    texts = list(itertools.product(range(N_TOKENS), repeat=4))
    for table, row in zip(tables, found, strict=True):
        expected = np.zeros(2)
        for text in texts:
            for k, own in enumerate(tokens):
                begun = [(*w, END) if options.ends else w for w in own]
                expected[k] += likelihood(table, text) * any(text[: len(w)] == w for w in begun)
        np.testing.assert_allclose(np.exp(row), expected, rtol=1e-4, atol=8 * NEGLIGIBLE * expected.sum() + 1e-9)
        if options.ends:
            assert np.exp(row).sum() <= 1 + 1e-5
    assert len(set(fed)) == len(fed)
    assert not any(a != b and b[: len(a)] == a for a in fed for b in fed), "what begins alike is read once"


def test_one_begins_another_of_another_class_only() -> None:
    from medprobe.diagnostics.extraction.options import exclusive

    assert exclusive([[(1,), (1, 2)], [(3,)]], [END]).ends == []
    assert exclusive([[(1,), (1, 2)], [(3,)]], [END]).tokens == [[(1,)], [(3,)]]
    ended = exclusive([[(1,), (1, 3)], [(1, 2)]], [END])
    assert ended.ends == [END]
    assert ended.tokens == [[(1,), (1, 3)], [(1, 2)]]


@pytest.mark.parametrize(("chance", "passes"), [(1e-7, 0), (1e-2, 1)])
def test_what_is_never_written_costs_no_pass(chance: float, passes: int) -> None:
    from medprobe.diagnostics.extraction.options import Options

    tables = np.full((2, N_TOKENS, N_TOKENS), 0.2)
    tables[:, 0] = [0.0, 0.3, chance, 0.3, 0.4 - chance]
    options = Options([[(1,), (2, 2)], [(3,)]], [])
    found, fed = scored(tables, options)
    assert len(fed) == passes
    np.testing.assert_allclose(np.exp(found[0]), [0.3 + 0.2 * chance, 0.3], rtol=1e-5)


def test_an_answer_that_is_hardly_written_keeps_its_likeliest_writing() -> None:
    from medprobe.diagnostics.extraction.options import Options

    tables = np.full((1, N_TOKENS, N_TOKENS), 0.2)
    tables[:, 0] = [0.0, 1 - 1.1e-9, 1e-9, 1e-10, 0.0]
    found, fed = scored(tables, Options([[(1,)], [(2, 2), (3, 3)]], []))
    assert fed == [(2,)]
    np.testing.assert_allclose(found[0, 1], np.log(0.2e-9), rtol=1e-5)


def test_an_image_reads_the_same_beside_others() -> None:
    """A pass made for another image changes nothing."""
    from medprobe.diagnostics.extraction.options import Options

    tables = np.full((2, N_TOKENS, N_TOKENS), 0.2)
    tables[0, 0] = [0.0, 0.9, 1e-5, 0.09, 0.00999]
    tables[1, 0] = [0.0, 0.1, 0.5, 0.3, 0.1]
    options = Options([[(1,), (2, 2)], [(3,)]], [])
    together, fed = scored(tables, options)
    assert fed == [(2,)]
    alone = np.concatenate([scored(tables[i : i + 1], options)[0] for i in range(2)])
    np.testing.assert_array_equal(together, alone)


def test_random_tokens_are_as_many_and_none_of_the_options() -> None:
    import torch

    from medprobe.diagnostics.extraction.options import RANDOM_DRAWS, Options, _random_tokens, _score_random
    from medprobe.fixtures.phantoms.families.tokens import build_tokenizer

    tokenizer = build_tokenizer()
    options = Options([[(50, 9), (51,)], [(52,), (53,), (54, 50)]], [])
    drawn = _random_tokens(tokenizer, len(tokenizer), options)
    assert [len(own) for own in drawn] == [2 * RANDOM_DRAWS, 3 * RANDOM_DRAWS]
    assert not {50, 51, 52, 53, 54, *tokenizer.all_special_ids} & {token for own in drawn for token in own}
    first = torch.log_softmax(torch.randn(3, len(tokenizer), generator=torch.Generator().manual_seed(0)), dim=1)
    scores = _score_random(first, drawn)
    assert scores.shape == (3, 2 * RANDOM_DRAWS)
    torch.testing.assert_close(scores[:, 0].exp(), first[:, drawn[0][:2]].exp().sum(1))
    torch.testing.assert_close(scores[:, 3].exp(), first[:, drawn[1][3:6]].exp().sum(1))
