"""What to do next about a diagnosis, each advice with what was measured for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from diagnostics.records import AnswerReading, Curves, Diagnosis, Layer, Stage
from plugins.report.text import interval, known, percent, points
from plugins.report.words import cause_sentence, links, undecided_lines, weakest

WORTH_NAMING = 0.05
"""A difference of accuracy; smaller ones are within what a probe varies by."""


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
    return [f"No layer of the tower reads clearly more than its end ({percent(end.accuracy, 1)})."]


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


STEPS = {
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


def _answer_steps(answer: AnswerReading) -> list[str]:
    changes = {name: getattr(answer.steps, name) for name in STEPS}
    name, change = min(changes.items(), key=lambda item: item[1].change)
    found = []
    if change.ci[1] < 0:
        found.append(
            f"Of the three steps from the last layer to the words, the one {STEPS[name]} loses most "
            f"({points(-change.change)} points, {interval((-change.ci[1], -change.ci[0]))}). {REMEDIES[name]}"
        )
    gained = answer.calibration
    if gained.ci[0] > 0:
        found.append(
            f"An offset for each option, fitted on other images, gives back {points(gained.change)} points "
            f"({interval(gained.ci)}): the signal is there and is said wrongly."
        )
    if known(answer.refused) and answer.refused > 0:
        found.append(
            f"{percent(answer.refused, 1)} of the answers decline to name a class, or send the reader to a physician: "
            "ask for one of the options in the prompt, or tune the refusals away."
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
SETTLE = (
    "The cause is open: a probe says where the signal is readable, not which module's weights lose it. Swap modules "
    "with a checkpoint that answers better (--against: the last release, the general base, the model before tuning) to "
    "settle it."
)
MEND = "The weights of this module make the difference: compare how they were trained, and mend it before the others."


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
                texts += _answer_steps(diagnosis.answer)
            found += [Advice(text, stage) for text in (*texts, *NEXT[stage])]
        if diagnosis.cause is None:
            return [*found, Advice(SETTLE)]
        cause = diagnosis.cause.module
        return [Advice(f"{cause_sentence(diagnosis)} {MEND if cause else ''}".strip(), cause), *found]
    if diagnosis.verdict == "inconclusive":
        texts = [f"{line[0].upper()}{line[1:]}." for line in undecided_lines(diagnosis)]
        if known(diagnosis.minimum_loss):
            texts.append(
                f"This many images can show a loss of {points(diagnosis.minimum_loss)} points or more; add images, or "
                "more patients, to see a smaller one."
            )
        return [Advice(text) for text in texts or ["Add images, or more patients, and run again."]]
    return []
