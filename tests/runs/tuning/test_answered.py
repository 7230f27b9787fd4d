"""What is tuned by: the likelihood of the answer after the diagnosis's own turn, and of nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medprobe.diagnostics.extraction.inputs import prepared
from medprobe.diagnostics.extraction.options import Options, end_tokens, prefill, score_options
from medprobe.diagnostics.tuning.answered import NO_TARGET, answered, answers_of, negative_log_likelihood
from medprobe.diagnostics.tuning.learners import learner_of
from medprobe.diagnostics.tuning.plan import Plan
from medprobe.fixtures.models.loaded import LoadedModel
from medprobe.fixtures.models.loading import load
from medprobe.fixtures.models.registry import resolve
from tests.runs.tuning.conftest import TEXTS

PROMPT, ANSWERS = TEXTS[0], ["normal", "malignant tumour"]
FAMILIES = ("llava", "qwen2_5_vl", "gemma3", "paligemma", "internvl")
"""Of one size of picture, of any, with a mask over image tokens, with one over the prompt, in tiles."""

Tiny = Callable[[str], Path]


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)) for size in ((40, 50, 3), (64, 90, 3))]


def of(tiny: Tiny, family: str) -> LoadedModel:
    return load(resolve(str(tiny(family))))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_likelihood_that_a_diagnosis_scores(tiny: Tiny, family: str) -> None:
    """Of every answer after every picture, though the turns of one batch differ in length and their answers too."""
    loaded = of(tiny, family)
    tokens = answers_of(loaded, PROMPT, ANSWERS)
    inputs = prepared(loaded, pictures(), PROMPT)
    ends = end_tokens(loaded.model)
    assert all(answer[-1] in ends for answer in tokens)
    with torch.no_grad():
        batch = inputs.on(loaded.device)
        options = Options([[tuple(answer[:-1])] for answer in tokens], ends)
        scored = score_options(loaded.model, options, batch, *prefill(loaded.model, batch))
        for picked in ((0, 1), (1, 0)):
            given, targets = answered(loaded.model, inputs, [tokens[k] for k in picked])
            found = negative_log_likelihood(loaded.model, given.batch, targets)
            np.testing.assert_allclose(found, -scored[[0, 1], picked], rtol=1e-5)


def test_targets_are_the_answers_tokens_alone(tiny: Tiny) -> None:
    loaded = of(tiny, "llava")
    tokens = answers_of(loaded, PROMPT, ANSWERS)
    assert len(tokens[0]) < len(tokens[1])
    inputs = prepared(loaded, pictures(), PROMPT)
    given, targets = answered(loaded.model, inputs, tokens)
    padding = len(tokens[1]) - len(tokens[0])
    assert targets.tolist() == [[*tokens[0], *[NO_TARGET] * padding], tokens[1]]
    prompt = inputs.batch["input_ids"].shape[1]
    assert given.batch["input_ids"][1, prompt:].tolist() == tokens[1]
    assert given.batch["attention_mask"][0, prompt:].tolist() == [1] * len(tokens[0]) + [0] * padding
    assert given.batch["input_ids"][:, :prompt].equal(inputs.batch["input_ids"])


@pytest.mark.parametrize("kept", [True, False])
def test_layers_are_computed_again_where_they_are_not_kept(tiny: Tiny, kept: bool) -> None:
    loaded = of(tiny, "llava")
    plan = Plan(parts="tower-connector-llm", checkpointing=not kept, dropout=0.0)
    learner = learner_of(loaded, plan, PROMPT, ANSWERS, pictures()[0])
    passes: Counter[str] = Counter()
    for name in (*loaded.anatomy.vision_blocks, *loaded.anatomy.decoder_layers):
        mlp = loaded.model.get_submodule(f"{name}.mlp")
        mlp.register_forward_pre_hook(lambda _m, _a, name=name: passes.update([name]))
    learner(*learner.prepare(pictures(), [0, 1])).sum().backward()
    assert set(passes.values()) == {1 if kept else 2}
    assert all(parameter.grad is not None for parameter in learner.trained().values())


def test_the_answer_ends_as_the_template_ends_a_turn(tiny: Tiny) -> None:
    loaded = of(tiny, "gemma3")
    turn, other = loaded.processor.tokenizer.convert_tokens_to_ids(["<end_of_turn>", "normal"])
    loaded.model.generation_config.eos_token_id = [other, turn]
    assert {answer[-1] for answer in answers_of(loaded, PROMPT, ANSWERS)} == {turn}
