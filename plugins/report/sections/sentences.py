"""What a diagnosis says in words: the verdict for a clinician, and what to do next, with the evidence."""

from __future__ import annotations

from medprobe.diagnostics.judgement.headline import cause_text, mended, settled
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.cause import Cause
from medprobe.diagnostics.records.chain import CHAIN, FAILURE_MODES, STAGES, FailureMode, Link, Place, Stage
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import joined, known, shown

STAGE_OF: dict[FailureMode, Stage] = {mode: stage for stage, mode in FAILURE_MODES.items()}
STOPS: dict[Stage, str] = {
    "vision": "at the end of its vision tower the findings cannot be told apart as well as these images allow",
    "connector": "the finding can be read in its vision tower, and no longer where its language model takes over",
    "llm": "the finding can be read where its language model takes over, and no longer at that model's end",
    "answer": "the finding can be read up to the end of its language model, and its answer does not say it",
}
"""Where a link stops, for a reader who knows medicine; not which part is at fault."""
AT_FAULT = "; which part is at fault is open"


PLACE_NAMES: dict[Place, str] = {
    "input": "input",
    "vision": "vision tower",
    "connector": "connector",
    "llm": "LLM",
    "answer": "head",
}
JUDGED_ON = {"likeliest": "the likeliest option", "said": "what is said"}


def links(diagnosis: Diagnosis) -> list[tuple[Stage, FailureMode, Link]]:
    """The judged links in the order of the chain; empty where nothing was judged."""
    modes = diagnosis.failure_modes
    return [] if modes is None else [(s, FAILURE_MODES[s], getattr(modes, FAILURE_MODES[s])) for s in STAGES]


def weakest(diagnosis: Diagnosis) -> tuple[Stage, FailureMode, Link] | None:
    """The primary failure mode's link, else the failing link with the largest loss, else the link that loses most."""
    judged = [item for item in links(diagnosis) if known(item[2].loss)]
    for item in judged:
        if item[1] == diagnosis.primary_failure_mode:
            return item
    failing = [item for item in judged if item[2].verdict == "fail"]
    return max(failing or judged, key=lambda item: item[2].loss, default=None)


def span(stage: Stage) -> str:
    """The link that ends at a stage: `vision -> connector`."""
    return f"{CHAIN[CHAIN.index(stage) - 1]} -> {stage}"


def verdict_word(diagnosis: Diagnosis) -> str:
    """`pass`, `fail`, `inconclusive`, `error` or `not judged`."""
    if diagnosis.error is not None:
        return "error"
    return diagnosis.verdict or "not judged"


def levels(diagnosis: Diagnosis, stage: Stage) -> str:
    """`88.1 of 100 points before this step, 41.3 after it`; empty without a signal."""
    if diagnosis.signal is None:
        return ""
    before, after = (getattr(diagnosis.signal, p) for p in (CHAIN[CHAIN.index(stage) - 1], stage))
    return f"{shown(before)} of 100 points before this step, {shown(after)} after it"


def verdict_sentence(diagnosis: Diagnosis) -> str:
    """One plain sentence for a reader who knows medicine, not machine learning."""
    if diagnosis.error is not None:
        return "This model could not be examined, so nothing is known about it: the run stopped with an error."
    failing = [stage for stage, _, link in links(diagnosis) if link.verdict == "fail"]
    if diagnosis.verdict == "fail":
        if (cause := settled(diagnosis)) is not None:
            return _loses_by(diagnosis, cause)
        weak = weakest(diagnosis)
        if weak is None:
            return "This model loses the diagnosis on the way from the image to its answer."
        if diagnosis.primary_failure_mode is None and len(failing) > 1:
            tied = [STAGE_OF[mode] for mode in diagnosis.tied] or failing
            where = joined(f"to the {'LLM' if stage == 'llm' else stage}" for stage in sorted(tied, key=STAGES.index))
            return (
                f"This model loses the diagnosis at more than one step ({where}), and these images cannot tell which "
                "step loses more, nor which part is at fault."
            )
        detail = levels(diagnosis, weak[0])
        tail = f" ({detail})" if detail else ""
        open_ = AT_FAULT if weak[0] == "answer" else ""
        return f"This model loses the diagnosis on its way to the answer: {STOPS[weak[0]]}{tail}{open_}."
    if diagnosis.verdict == "pass":
        kept = f", {shown(diagnosis.signal.answer)} of 100 points" if diagnosis.signal else ""
        return f"This model carries the diagnosis from the image all the way to its answer{kept}."
    if diagnosis.verdict == "inconclusive":
        if diagnosis.n_images:
            return (
                f"From these {diagnosis.n_images:,} images it cannot be said whether this model carries the diagnosis "
                "from the image to its answer; this is neither a pass nor a fail."
            )
        return "Nothing could be decided about this model; this is neither a pass nor a fail."
    return "This model was not judged."


def undecided_lines(diagnosis: Diagnosis) -> list[str]:
    """Why links could not be decided, links of one reason together."""
    reasons: dict[str, list[str]] = {}
    for stage, _, link in links(diagnosis):
        if link.verdict == "inconclusive":
            reasons.setdefault(link.reason or "no reason given", []).append(stage)
    return [
        f"undecided at {'every link' if len(stages) == len(STAGES) else joined(stages)}: {reason}"
        for reason, stages in reasons.items()
    ]


def reference_sentence(diagnosis: Diagnosis) -> str:
    """Which network the chain starts from, where its weights came from, and what raised it; empty without one."""
    reference = diagnosis.reference
    if reference is None:
        return ""
    kind = "pretrained" if reference.pretrained else "not pretrained"
    raised = f" {reference.raised_by} reads more and raises it." if reference.raised_by is not None else ""
    return f"The reference is {reference.network}, {kind}: {reference.origin}.{raised}"


def _loses_by(diagnosis: Diagnosis, cause: Cause) -> str:
    """The sentence of a diagnosis whose cause has been shown."""
    if cause.module == "input":
        found = "This model loses the diagnosis by the way picture and question are handed to it, not by its weights"
        if (mend := mended(diagnosis, cause)) is None:
            return f"{found}."
        changes, after, before = mend
        other = f"another {one_line(next(iter(changes)))}" if len(changes) == 1 else "another input"
        return f"{found}: with {other} its answer reads {shown(after)} of 100 points instead of {shown(before)}."
    name = "language model" if cause.module == "llm" else PLACE_NAMES[cause.module or "answer"]
    by = f", as swapping it with that of {one_line(cause.against)} shows" if cause.against else ""
    return f"This model loses the diagnosis in its {name}{by}."


def cause_sentence(diagnosis: Diagnosis) -> str:
    """What swapping and counterfactual inputs found, or that neither was tried."""
    text = cause_text(diagnosis)
    if text is None:
        return "Not searched for: a probe says where the signal is readable, not which module loses it."
    cause = settled(diagnosis)
    why = f"; {one_line(cause.reason)}" if cause is not None and cause.found_by != "counterfactual" else ""
    return f"{text[0].upper()}{text[1:].rstrip('.')}{why.rstrip('.')}."
