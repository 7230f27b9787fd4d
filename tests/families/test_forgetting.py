"""Tuning on something else and merged adapters: in every family one stage changes, the same way every time."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from tests.families.test_input_faults import load, logits
from tests.family_names import FAMILIES


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from medprobe.fixtures.phantoms.families.checkpoints import build_family

    return load(build_family(request.param, tmp_path_factory.mktemp(request.param), seed=1))


def planted(loaded: Any, fault: str) -> Any:
    """A copy with the fault; None where it is refused."""
    from medprobe.fixtures.phantoms.faults import FaultError, plant

    made = replace(loaded, model=copy.deepcopy(loaded.model))
    try:
        plant(made, fault)
    except FaultError:
        return None
    return made


def test_one_stage_changes_and_always_the_same_way(loaded: Any) -> None:
    import torch

    from medprobe.fixtures.phantoms.faults.forgetting import MECHANISMS

    anatomy, before = loaded.anatomy, logits(loaded)
    connectors = (anatomy.connector, *anatomy.deepstack)
    places = {
        "vision": anatomy.vision_blocks,
        "connector": connectors,
        "llm": anatomy.decoder_layers,
        "answer": (anatomy.head,),
    }
    own = dict(loaded.model.named_parameters())
    asked = {name: parameter.requires_grad for name, parameter in own.items()}
    n_planted = 0
    for mechanism in MECHANISMS:
        made = planted(loaded, f"{mechanism.name}@0.2")
        if made is None:
            continue
        n_planted += 1
        assert not torch.equal(logits(made), before), mechanism.name
        now = dict(made.model.named_parameters())
        changed = {name for name, parameter in now.items() if name in own and not torch.equal(parameter, own[name])}
        inside = tuple(f"{place}." for place in places[mechanism.stage])
        assert changed, mechanism.name
        assert all(name.startswith(inside) for name in changed), mechanism.name
        if mechanism.stage != "answer":  # whose head is given a weight of its own
            assert {name: parameter.requires_grad for name, parameter in now.items()} == asked
        again = planted(loaded, f"{mechanism.name}@0.2")
        assert torch.equal(logits(made), logits(again)), mechanism.name
    assert n_planted >= len(MECHANISMS) - 1
    assert torch.equal(logits(loaded), before)


def test_more_steps_forget_more(loaded: Any) -> None:
    before = logits(loaded)
    little, much = (logits(planted(loaded, f"llm.forgotten@{knob}")) - before for knob in (0.04, 1))
    assert little.abs().mean() < much.abs().mean()


def test_a_seed_chooses_the_adapter(loaded: Any) -> None:
    import torch

    one, other = (logits(planted(loaded, f"connector.merged_adapter@0.5{seed}")) for seed in ("", "#1"))
    assert not torch.equal(one, other)
