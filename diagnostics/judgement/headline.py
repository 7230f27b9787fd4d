"""What a diagnosis claims in the fewest words: every output that has a headline takes it from here.

A failing link says where the signal stops being readable, or being said. It convicts no module: a later probe learns
again what an earlier module has spoilt, and only the answer cannot. A place is called the cause once a swap with a
second checkpoint or a counterfactual input has shown it.
"""

from __future__ import annotations

from medprobe.diagnostics.outside_text import brief, one_line
from medprobe.diagnostics.records.cause import Alternative, Cause, Key
from medprobe.diagnostics.records.chain import FAILURE_MODES, FailureMode, Place
from medprobe.diagnostics.records.report import Diagnosis

MODE_NAMES: dict[FailureMode, str] = {
    "visual_representation_quality": "visual representation quality",
    "connector_fidelity_loss": "connector fidelity loss",
    "llm_comprehension_deficit": "LLM comprehension deficit",
    "semantic_mapping_misalignment": "semantic mapping misalignment",
}
LAST: FailureMode = FAILURE_MODES["answer"]
"""The mode that is never named before its cause is: what a last link loses may have been spoilt anywhere before it."""
NOT_SAID = "readable up to the LLM's last layer, not said"
OPEN = "cause open"
BECAUSE = "the cause is open: "
"""Ends what `Cause.reason` says of a link in front of why its cause is open."""


def settled(diagnosis: Diagnosis) -> Cause | None:
    """The cause, where a place has been shown to be one."""
    cause = diagnosis.cause
    return cause if cause is not None and cause.certain and cause.module is not None else None


def failing(diagnosis: Diagnosis) -> list[FailureMode]:
    """The failing link that loses most, or those that are tied; empty unless the diagnosis fails."""
    if diagnosis.error is not None or diagnosis.verdict != "fail":
        return []
    primary = diagnosis.primary_failure_mode
    return [primary] if primary is not None else diagnosis.tied


def headline(diagnosis: Diagnosis) -> str:
    """What stands beside the verdict: where the signal stops being readable, or the cause once it is shown; empty
    where the diagnosis passes, and where it is undecided without a cause."""
    modes = failing(diagnosis)
    cause = settled(diagnosis)
    if cause is not None and diagnosis.verdict in ("fail", "inconclusive") and diagnosis.error is None:
        found = f"cause: {_named(diagnosis, cause)}"
        return f"{MODE_NAMES[modes[0]]}, {found}" if modes == [_mode(cause.module)] else found
    names = ", ".join(MODE_NAMES[mode] for mode in modes if mode != LAST)
    parts = [names] if names else []
    if LAST in modes:
        parts += [NOT_SAID, OPEN]
    return ("tied: " if len(modes) > 1 else "") + "; ".join(parts)


def kind(diagnosis: Diagnosis) -> str | None:
    """The headline as one of a few words, to be counted; None where there is none."""
    if not headline(diagnosis):
        return "not named" if diagnosis.verdict == "fail" and diagnosis.error is None else None
    cause, modes = settled(diagnosis), failing(diagnosis)
    if cause is not None:
        return f"cause {cause.module}"
    if len(modes) > 1:
        return "tied"
    return "readable but not said" if modes == [LAST] else MODE_NAMES[modes[0]]


def cause_value(diagnosis: Diagnosis) -> str | None:
    """For columns and properties: the place, `open` where a diagnosis fails and no place is named, else None."""
    if diagnosis.cause is not None and diagnosis.cause.module is not None:
        return diagnosis.cause.module
    return "open" if diagnosis.verdict == "fail" and diagnosis.error is None else None


def cause_text(diagnosis: Diagnosis) -> str | None:
    """The cause with what shows it, or why it is open; None where none was looked for."""
    cause = diagnosis.cause
    if cause is None:
        return None
    against = "" if cause.against is None else f", against {one_line(cause.against)}"
    if (shown := settled(diagnosis)) is not None:
        return f"cause: {_named(diagnosis, shown)}{_shown(diagnosis, shown)}"
    why = one_line(cause.reason.rpartition(BECAUSE)[2])
    if cause.module is not None:
        return f"{OPEN}{against}: {cause.module} is likely, not shown: {why}"
    if diagnosis.verdict == "fail":
        return f"{OPEN}{against}: {why}"
    return f"cause{against}: none named; {why}"


def claim(diagnosis: Diagnosis, mode: FailureMode) -> str:
    """What is said beside one failing link: the cause, or that what cannot be said has an open one; empty where the
    link's own words say all."""
    if settled(diagnosis) is not None:
        return cause_text(diagnosis) or ""
    if mode != LAST:
        return ""
    return f"{NOT_SAID}; {cause_text(diagnosis) or OPEN}"


def mended(diagnosis: Diagnosis, cause: Cause) -> tuple[dict[str, object], float, float] | None:
    """Where the input is the cause: the settings that give the answer back, its signal with them and without; None
    where no single change was shown to."""
    if (other := alternative(diagnosis, cause)) is not None and other.signal is not None:
        assert diagnosis.counterfactuals is not None
        return other.changes, other.signal, diagnosis.counterfactuals.asked
    key = _key(cause)
    if key is not None and key.signal is not None and key.change is not None:
        return {key.path: key.theirs}, key.signal, key.signal - key.change.change
    return None


def alternative(diagnosis: Diagnosis, cause: Cause) -> Alternative | None:
    """The input under which the answers are better, where that is how the cause was found."""
    counterfactuals = diagnosis.counterfactuals
    if cause.module != "input" or cause.found_by != "counterfactual" or counterfactuals is None:
        return None
    return next((tried for tried in counterfactuals.tried if tried.name == counterfactuals.named), None)


def settings_text(changes: dict[str, object]) -> str:
    """`image_processor.image_mean = [0.5, 0.5, 0.5] and image_processor.image_std = [0.5, 0.5, 0.5]`."""
    return " and ".join(f"{one_line(path)} = {brief(value)}" for path, value in changes.items())


def _mode(place: Place | None) -> FailureMode | None:
    return None if place is None or place == "input" else FAILURE_MODES[place]


def _key(cause: Cause) -> Key | None:
    return next((key for key in cause.keys if cause.module == "input" and key.path == cause.key), None)


def _named(diagnosis: Diagnosis, cause: Cause) -> str:
    """`input (image_processor.image_mean)`, `connector, by swapping with base`."""
    what = cause.key
    if what is None and (other := alternative(diagnosis, cause)) is not None:
        what = other.name
    detail = f" ({one_line(what)})" if what else ""
    by = f", by swapping with {one_line(cause.against)}" if cause.found_by == "swap" and cause.against else ""
    return f"{cause.module}{detail}{by}"


def _shown(diagnosis: Diagnosis, cause: Cause) -> str:
    """The numbers that show it, after a colon; empty where there are none."""
    if cause.found_by == "counterfactual":
        return f": {one_line(cause.reason)}"
    if (mend := mended(diagnosis, cause)) is not None:
        changes, after, before = mend
        return f": with {settings_text(changes)} the answer reads {_points(after)} instead of {_points(before)} points"
    if cause.module is None or cause.effects is None or cause.difference is None:
        return ""
    bounds = cause.ci.get(cause.module)
    interval = "" if bounds is None else f" ({_signed(bounds[0])} to {_signed(bounds[1])})"
    layer = "" if cause.layer is None else f", layers up to {cause.layer}"
    judged = "by what is said" if cause.judged_on == "said" else "by the likeliest option"
    effect = _signed(getattr(cause.effects, cause.module))
    return f"{layer}: {effect} points{interval} of {_signed(cause.difference)}, {judged}"


def _signed(signal: float) -> str:
    text = f"{100 * signal:.1f}"
    return text.removeprefix("-") if text == "-0.0" else text


def _points(signal: float) -> str:
    """Below chance is shown as 0, as everywhere."""
    return _signed(max(signal, 0.0))
