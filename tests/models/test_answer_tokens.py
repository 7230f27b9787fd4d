"""The tokens of an answer after a prompt, with tokenizers of every kind that the supported models have."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.fixtures.models.answer_tokens import End, after, apart, encode, forms, spacings

KINDS = ("bytes", "spaces first", "spaces always", "lower case")
ANSWERS = ("normal", "pneumonia", "COVID-19", "no lesion", "Tumour", "\u6b63\u5e38")
PROMPTS = (
    "USER: Which is it? ASSISTANT:",
    "USER: Which is it? ASSISTANT: ",
    "<|im_start|>Which is it?<|im_end|>\n<|im_start|>assistant\n",
    "Which is it? Answer normal or pneumonia.\n\n",
    "<|im_start|>",
    "The answer is n",
)


@functools.cache
def tokenizer(kind: str) -> Any:
    """Byte-level BPE as of Llama 3 and Qwen, pieces with a mark for spaces as of Llama 2 and Gemma, WordPiece."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from medprobe.fixtures.phantoms.families.tokens import SENTENCES, build_tokenizer

    texts = [*SENTENCES, *ANSWERS, *PROMPTS] * 4
    if kind == "bytes":
        return build_tokenizer(texts=texts)
    special = ["<|im_start|>", "<|im_end|>", "[UNK]"]
    if kind == "lower case":
        built = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        built.normalizer = normalizers.BertNormalizer(lowercase=True)
        built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        built.decoder = decoders.WordPiece()
        trainer: Any = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    else:
        scheme = kind.removeprefix("spaces ")
        built = Tokenizer(models.BPE(unk_token="[UNK]"))
        built.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        built.decoder = decoders.Metaspace(prepend_scheme=scheme)
        trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    built.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=built, unk_token="[UNK]")


def end(kind: str, text: str) -> End:
    return End(text, encode(tokenizer(kind), text))


words = st.sampled_from(ANSWERS) | st.text(st.sampled_from("normalbeig NCx"), min_size=1, max_size=9).map(str.strip)
texts = st.sampled_from(PROMPTS) | st.text(st.sampled_from("normal: A\n?"), max_size=12)


@given(kind=st.sampled_from(KINDS), prompt=texts, space=st.sampled_from([" ", "\n", "  "]), word=words.filter(bool))
def test_what_follows_is_the_difference(kind: str, prompt: str, space: str, word: str) -> None:
    before = end(kind, prompt)
    tokens = after(tokenizer(kind), before, space, word)
    if tokens:
        assert before.tokens + tokens == encode(tokenizer(kind), prompt + space + word)


@given(kind=st.sampled_from(KINDS), prompt=texts, word=words.filter(bool))
def test_a_model_can_always_go_on(kind: str, prompt: str, word: str) -> None:
    assert after(tokenizer(kind), end(kind, prompt), "", word)


@given(prompt=texts, word=words.filter(bool))
def test_what_is_read_is_what_was_written(prompt: str, word: str) -> None:
    """Also where the word would merge with the end of the prompt."""
    built = tokenizer("bytes")
    before = end("bytes", prompt)
    tokens = after(built, before, "", word)
    assert built.decode([*before.tokens, *tokens], clean_up_tokenization_spaces=False) == prompt + word


def read(kind: str, prompt: str, word: str, space: str) -> list[str]:
    built = tokenizer(kind)
    return list(built.convert_ids_to_tokens(list(after(built, end(kind, prompt), space, word))))


def test_after_a_colon_a_word_begins_with_its_space() -> None:
    colon, line = PROMPTS[0], PROMPTS[2]
    assert read("bytes", colon, "normal", " ") == ["\u0120normal"]
    assert "".join(read("bytes", line, "normal", "")) == "normal"
    assert read("spaces first", colon, "normal", " ") == ["\u2581normal"]
    assert "".join(read("spaces first", colon, "normal", "")) == "normal"
    # Both are one word to a tokenizer that splits at spaces and folds cases.
    assert read("lower case", colon, "Normal", "") == read("lower case", colon, "normal", " ") == ["normal"]


@pytest.mark.parametrize("kind", ["bytes", "spaces first"])
def test_a_space_that_ends_the_prompt_is_not_written_again(kind: str) -> None:
    prompt = PROMPTS[1]
    whole, before = encode(tokenizer(kind), f"{prompt}normal"), end(kind, prompt)
    assert whole[: len(before.tokens)] != before.tokens, "the word does not merge with the space"
    assert "".join(read(kind, prompt, "normal", "")) == "normal"


@pytest.mark.parametrize(
    ("before", "gap", "spaces"),
    [
        ("ASSISTANT:", None, [" ", ""]),
        ("ASSISTANT:", " ", [" ", ""]),
        ("assistant\n", None, ["", " "]),
        ("assistant\n", "", ["", " "]),
        ("<start>model", "\n", ["\n", " ", ""]),
        ("", None, ["", " "]),
    ],
)
def test_the_template_says_what_comes_first(before: str, gap: str | None, spaces: list[str]) -> None:
    assert spacings(before, gap) == spaces


def test_articles_are_those_of_the_prompt() -> None:
    assert forms("cyst", "Is this a cyst or the tumour?") == ["cyst", "Cyst", "a cyst", "A cyst"]
    assert forms("COVID-19", "Is this COVID-19? Answer yes or no.") == ["COVID-19", "covid-19"]
    assert forms("no", "Is this a node? Answer yes or no.") == ["no", "No"]


sequences = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5, unique=True
)


@given(st.lists(sequences, min_size=2, max_size=4))
def test_what_two_answers_share_tells_nothing(ways: list[list[tuple[int, ...]]]) -> None:
    told = apart(ways)
    assert all(told)
    for k, (own, before) in enumerate(zip(told, ways, strict=True)):
        others = {tokens for i, other in enumerate(ways) if i != k for tokens in other}
        assert set(own) == set(before) - others or own == before[:1]
