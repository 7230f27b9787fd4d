"""One cause from what a swap and what counterfactual inputs have shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medprobe.diagnostics.records.cause import Alternative, Cause, Counterfactuals
from medprobe.diagnostics.records.chain import JudgedLink, Stage

OPEN = "readable up to the LLM's last layer, not said; the cause is open"


def joined(swap: Cause | None, asked: Counterfactuals | None, links: Mapping[Stage, JudgedLink]) -> Cause | None:
    """A place that a swap names stands; else an alternative input that explains the loss is the cause.

    Where neither names one: what the swap says, else that the cause is open where the answer's link fails. None where
    no second checkpoint was given and nothing fails there.
    """
    if swap is not None and swap.module is not None:
        return swap
    if asked is not None and asked.named is not None:
        return _by_input(swap, asked)
    if swap is not None or links["answer"].verdict != "fail":
        return swap
    return Cause(reason=f"{OPEN}: {_none_explains(asked)}", judged_on="likeliest" if asked is None else asked.judged_on)


def _by_input(swap: Cause | None, asked: Counterfactuals) -> Cause:
    named = next(one for one in asked.tried if one.name == asked.named)
    others = [one.name for one in asked.tried if one.explains and one is not named]
    also = f"; it is explained as well by {' and by '.join(others)}" if others else ""
    found: dict[str, Any] = {
        "found_by": "counterfactual",
        "certain": True,
        "module": "input",
        "key": ", ".join(named.changes),
        "reason": f"{gain_sentence(asked, named)}{also}",
    }
    if swap is None:
        return Cause(judged_on=asked.judged_on, n_images=asked.n_images, **found)
    return swap.model_copy(update={**found, "reason": f"{found['reason']}; swapping names none: {swap.reason}"})


def gain_sentence(asked: Counterfactuals, one: Alternative) -> str:
    """`with image_mean 0.5 and image_std 0.5 the answer reads 81 instead of 0 points`."""
    what = "the answer" if asked.judged_on == "likeliest" else "what is said"
    after, before = (round(100 * max(value or 0.0, 0.0)) for value in (one.signal, asked.asked))
    return f"with {one.name} {what} reads {after} instead of {before} points"


def _none_explains(asked: Counterfactuals | None) -> str:
    if asked is None:
        return "no other input was asked"
    if asked.reason is not None:
        return f"no other input was asked, since {asked.reason}"
    if asked.rivals:
        return (
            f"{' and '.join(asked.rivals)} give it back alike and have no setting in common, so either may only make "
            "up for a fault elsewhere"
        )
    n = sum(one.n_images > 0 for one in asked.tried)
    return f"none of {n} other inputs that this family knows explains it"
