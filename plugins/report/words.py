"""What a diagnosis says in words: the verdict for a clinician, and what to do next, with the evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from diagnostics.records import (
    CHAIN,
    FAILURE_MODES,
    STAGES,
    AnswerReading,
    Curves,
    Diagnosis,
    FailureMode,
    Layer,
    Link,
    Stage,
)
from plugins.report.text import joined, known, percent, points, shown

STAGE_OF: dict[FailureMode, Stage] = {mode: stage for stage, mode in FAILURE_MODES.items()}
MODE_NAMES: dict[FailureMode, str] = {
    "visual_representation_quality": "visual representation quality",
    "connector_fidelity_loss": "connector fidelity loss",
    "llm_comprehension_deficit": "LLM comprehension deficit",
    "semantic_mapping_misalignment": "semantic mapping misalignment",
}
LOSES: dict[Stage, str] = {
    "vision": "its vision tower does not pick up enough of what tells the findings apart",
    "connector": "its vision tower sees the finding, but the step that hands it to the language model drops it",
    "llm": "the finding reaches its language model, but is lost while the model processes it",
    "answer": "the finding can still be read inside the model, but the words it answers do not say it",
}
WORTH_NAMING = 0.05
"""A difference of accuracy; smaller ones are within what a probe varies by."""


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
        weak = weakest(diagnosis)
        if weak is None:
            return "This model loses the diagnosis on the way from the image to its answer."
        if diagnosis.primary_failure_mode is None and len(failing) > 1:
            tied = [STAGE_OF[mode] for mode in diagnosis.tied] or failing
            where = joined(f"the {'LLM' if stage == 'llm' else stage}" for stage in sorted(tied, key=STAGES.index))
            return (
                "This model loses the diagnosis in more than one place "
                f"({where}), and these images cannot tell which of the losses is the larger."
            )
        detail = levels(diagnosis, weak[0])
        tail = f" ({detail})" if detail else ""
        return f"This model loses the diagnosis on its way to the answer: {LOSES[weak[0]]}{tail}."
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


def cause_sentence(diagnosis: Diagnosis) -> str:
    """What swapping modules with a second checkpoint found, or that nothing was swapped."""
    cause = diagnosis.cause
    if cause is None:
        return "Not searched for: that needs a second checkpoint of the same architecture (--against)."
    against = f" with {cause['against']}" if cause.get("against") else " with the second checkpoint"
    if cause.get("module"):
        return f"Swapping modules{against}, the {cause['module']} makes the difference."
    return f"Swapping modules{against} names no single module."


def largest_drop(layers: list[Layer]) -> tuple[Layer, Layer] | None:
    """The neighbouring layers between which accuracy falls most, where that is worth naming."""
    pairs = [p for p in pairwise(layers) if known(p[0].accuracy) and known(p[1].accuracy)]
    drop = max(pairs, key=lambda pair: pair[0].accuracy - pair[1].accuracy, default=None)
    return drop if drop and drop[0].accuracy - drop[1].accuracy >= WORTH_NAMING else None


def _read(layers: list[Layer]) -> list[Layer]:
    return [layer for layer in layers if known(layer.accuracy)]


def _fall(name: str, layers: list[Layer]) -> list[str]:
    drop = largest_drop(layers)
    if drop is None:
        return []
    before, after = drop
    return [
        f"Accuracy falls most between {name} layers {before.layer} and {after.layer}: {percent(before.accuracy, 1)} to "
        f"{percent(after.accuracy, 1)}."
    ]


def _vision_evidence(curves: Curves) -> list[str]:
    layers = _read(curves.vision)
    if not layers:
        return []
    best, end = max(layers, key=lambda layer: layer.accuracy), layers[-1]
    if best.accuracy - end.accuracy >= WORTH_NAMING:
        return [
            f"Vision layer {best.layer} reads {percent(best.accuracy, 1)}, the end of the tower "
            f"{percent(end.accuracy, 1)}: the finding shows there and fades again.",
            *_fall("vision", layers),
        ]
    return [
        f"No layer of the tower reads clearly more than its end ({percent(end.accuracy, 1)}): the finding shows nowhere in it."
    ]


def _connector_evidence(curves: Curves) -> list[str]:
    before, after = _read(curves.vision), _read(curves.connector)
    if not before or not after:
        return []
    regions = _read(curves.connector_grid)
    kept = f" (by region {percent(regions[-1].accuracy, 1)})" if regions else ""
    return [
        f"The end of the tower reads {percent(before[-1].accuracy, 1)}, what enters the LLM "
        f"{percent(after[-1].accuracy, 1)}{kept}."
    ]


def _llm_evidence(curves: Curves) -> list[str]:
    last, mean = _read(curves.llm_last), _read(curves.llm_mean)
    found = _fall("llm", last)
    if last and mean:
        values = f"in the last layer the image tokens read {percent(mean[-1].accuracy, 1)}, the last prompt token "
        values += percent(last[-1].accuracy, 1)
        if mean[-1].accuracy - last[-1].accuracy >= WORTH_NAMING:
            found.append(f"The image tokens hold the finding, the place the answer starts from does not: {values}.")
        else:
            found.append(f"The image tokens hold no more than the place the answer starts from: {values}.")
    return found


EVIDENCE: dict[Stage, Callable[[Curves], list[str]]] = {
    "vision": _vision_evidence,
    "connector": _connector_evidence,
    "llm": _llm_evidence,
    "answer": lambda curves: [],
}


@dataclass(frozen=True)
class SubLink:
    name: str
    before: float
    after: float

    @property
    def loss(self) -> float:
        return self.before - self.after


SUB_LINKS = {
    "options": "into the likelihoods of the options",
    "likeliest": "from the likelihoods to the likeliest option",
    "said": "from the likeliest option to the text",
}
REMEDIES = {
    "options": "The class is not taken up by the answer words: tune the LLM on answers; rewording and calibration "
    "cannot give back what the likelihoods do not hold.",
    "likeliest": "Calibrate the options (an offset for each, chosen on other images), or balance the answers it is "
    "tuned on.",
    "said": "Ask for one word, constrain the decoding, or add the words it uses to the manifest's synonyms.",
}


def sub_links(diagnosis: Diagnosis) -> list[SubLink]:
    """The last link in three: what is lost before the options, before the likeliest option, before the words."""
    answer, signal = diagnosis.answer, diagnosis.signal
    if answer is None or signal is None:
        return []
    chain = (signal.llm, answer.readable_in_options, answer.likeliest, answer.said)
    return [SubLink(n, b, a) for n, (b, a) in zip(SUB_LINKS, pairwise(chain), strict=True) if known(b) and known(a)]


def _drop(part: SubLink) -> float:
    return part.loss


def _answer_steps(diagnosis: Diagnosis, answer: AnswerReading) -> list[str]:
    parts = sub_links(diagnosis)
    found = []
    if parts and max(parts, key=_drop).loss > 0:
        part = max(parts, key=_drop)
        found.append(
            f"Of the three steps from the last layer to the words, the one {SUB_LINKS[part.name]} loses most "
            f"({shown(part.before)} to {shown(part.after)} points). {REMEDIES[part.name]}"
        )
    if known(answer.unparseable) and answer.unparseable > 0:
        found.append(
            f"{percent(answer.unparseable, 1)} of the answers name no class, or several, and count as wrong: read some "
            "of them before changing anything else."
        )
    return found


NEXT: dict[Stage, tuple[str, ...]] = {
    "vision": (
        "Check that the images reach the tower as it was trained: size, cropping, grey levels, normalisation.",
        "Where an earlier layer reads more than the end, use it or tune the layers behind it; where none does, tune "
        "the tower itself on this kind of image with a classification loss.",
    ),
    "connector": (
        "Check that every connector weight was loaded, and that pooling or merging leaves enough image tokens.",
        "Tune the connector alone, tower and LLM frozen, and measure again; if the loss stays, widen it.",
    ),
    "llm": (
        "Check the chat template, the place of the image in the prompt, and image positions and attention mask.",
        "Tune the LLM's layers from where the last prompt token falls, or never rises.",
    ),
    "answer": (
        "A probe reads what can be learnt again, not what the model uses: the cause of a loss that shows only in the "
        "answer may lie earlier.",
    ),
}
SETTLE = "To settle which module causes it, run again with --against and the last release or the general base."


@dataclass(frozen=True)
class Advice:
    """One thing to do, at a stage or for the whole."""

    text: str
    stage: Stage | None = None


def next_steps(diagnosis: Diagnosis) -> list[Advice]:
    """What to do about this diagnosis, most telling first."""
    if diagnosis.error is not None:
        return [Advice("Mend what the error names and run the same command again; other diagnoses are not affected.")]
    if diagnosis.verdict == "pass":
        return [
            Advice("Keep this run as the baseline (--save-baseline), so that the next checkpoint is held against it.")
        ]
    failing = [stage for stage, _, link in links(diagnosis) if link.verdict == "fail"]
    if diagnosis.verdict == "fail" and failing:
        weak = weakest(diagnosis)
        found: list[Advice] = []
        for stage in sorted(failing, key=lambda stage: weak is None or stage != weak[0]):
            texts = EVIDENCE[stage](diagnosis.curves) if diagnosis.curves is not None else []
            if stage == "answer" and diagnosis.answer is not None:
                texts += _answer_steps(diagnosis, diagnosis.answer)
            found += [Advice(text, stage) for text in (*texts, *NEXT[stage])]
        return found + ([Advice(SETTLE)] if diagnosis.cause is None else [])
    if diagnosis.verdict == "inconclusive":
        texts = [f"{line[0].upper()}{line[1:]}." for line in undecided_lines(diagnosis)]
        if known(diagnosis.minimum_loss):
            texts.append(
                f"This many images can show a loss of {points(diagnosis.minimum_loss)} points or more; add images, or "
                "more patients, to see a smaller one."
            )
        return [Advice(text) for text in texts or ["Add images, or more patients, and run again."]]
    return []
