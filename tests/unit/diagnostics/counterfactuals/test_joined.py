"""One cause from a swap and counterfactual inputs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from medprobe.diagnostics.causes.joined import joined
from medprobe.diagnostics.records.cause import Alternative, Cause, Counterfactuals
from medprobe.diagnostics.records.chain import STAGES


def links(**verdicts):
    return {stage: SimpleNamespace(verdict=verdicts.get(stage, "pass")) for stage in STAGES}


def asked(named=None, judged_on="likeliest"):
    tried = [
        Alternative(
            name=f"image_mean {value}",
            changes={"image_processor.image_mean": value, "image_processor.image_std": value},
            n_images=120,
            signal=signal,
            explains=named is not None and signal > 0.5,
        )
        for value, signal in ((0.5, 0.81), (0.48, 0.7), (0.1, 0.0))
    ]
    tried.append(Alternative(name="red and blue exchanged", reason="it changes nothing of these images"))
    return Counterfactuals(n_images=120, judged_on=judged_on, asked=-0.1, short=0.9, named=named, tried=tried)


NAMED = asked("image_mean 0.5")
SWAPPED = Cause(against="base", found_by="swap", module="llm", certain=True, reason="its effect exceeds", n_images=200)
NO_SWAP = Cause(against="base", reason="shared between llm and answer", n_images=200)


def test_where_nothing_fails_and_nothing_was_given_there_is_no_cause():
    assert joined(None, None, links()) is None
    assert joined(None, asked(), links(vision="fail")) is None


def test_a_place_that_a_swap_names_stands():
    assert joined(SWAPPED, NAMED, links(answer="fail")) is SWAPPED


def test_an_alternative_that_explains_is_the_cause():
    found = joined(None, NAMED, links(answer="fail"))
    assert found is not None
    assert (found.module, found.found_by, found.certain, found.n_images) == ("input", "counterfactual", True, 120)
    assert found.key == "image_processor.image_mean, image_processor.image_std"
    assert found.reason == (
        "with image_mean 0.5 the answer reads 81 instead of 0 points; it is explained as well by image_mean 0.48"
    )


def test_it_stands_beside_what_a_swap_measured():
    found = joined(NO_SWAP, NAMED, links(answer="fail"))
    assert found is not None
    assert (found.module, found.against, found.n_images) == ("input", "base", 200)
    assert found.reason.endswith("; swapping names none: shared between llm and answer")


def test_a_swap_that_names_none_says_why():
    assert joined(NO_SWAP, asked(), links(answer="fail")) is NO_SWAP


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (asked(), "none of 3 other inputs that this family knows explains it"),
        (None, "no other input was asked"),
        (
            Counterfactuals(n_images=0, judged_on="said", asked=0, short=0.5, reason="too few"),
            "no other input was asked, since too few",
        ),
    ],
)
def test_what_fails_at_the_answer_and_is_not_explained_is_open(found, words):
    cause = joined(None, found, links(answer="fail"))
    assert cause is not None
    assert (cause.module, cause.certain, cause.found_by) == (None, False, None)
    assert cause.reason == f"readable up to the LLM's last layer, not said; the cause is open: {words}"
