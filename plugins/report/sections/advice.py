"""What to do next about a diagnosis, each advice with what was measured for it.

The order is that of what was found and what it costs to try: the cause where one is shown, else input and
configuration, a swap with a second checkpoint, calibration where the options hold the signal and the input is sound,
and tuning last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from medprobe.diagnostics.judgement.headline import mended, settings_text, settled
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.answer import AnswerReading
from medprobe.diagnostics.records.cause import Cause, Counterfactuals, Pixels
from medprobe.diagnostics.records.chain import Curves, Layer, Place, Stage
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections.inputs import differing, far_off, reach_sentence, sentence
from medprobe.plugins.report.sections.sentences import cause_sentence, links, undecided_lines, weakest
from medprobe.plugins.report.text import interval, known, percent, points

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


def _answer_evidence(answer: AnswerReading) -> list[str]:
    """Where in the last link the signal stops being said, and texts that name no class."""
    name, change = min(((name, getattr(answer.steps, name)) for name in STEPS), key=lambda item: float(item[1].change))
    found = []
    if change.ci[1] < 0:
        found.append(
            f"Of the three steps from the last layer to the words, the one {STEPS[name]} loses most "
            f"({points(-change.change)} points, {interval((-change.ci[1], -change.ci[0]))})."
        )
    if known(answer.refused) and answer.refused > 0:
        found.append(
            f"{percent(answer.refused, 1)} of the answers decline to name a class, or send the reader to a physician: "
            "ask for one of the options in the prompt."
        )
    if known(answer.unparseable) and answer.unparseable > 0:
        found.append(
            f"{percent(answer.unparseable, 1)} of the answers name no class, or several, and count as wrong: read some "
            "of them before changing anything else."
        )
    return found


CHECK: dict[Stage, str] = {
    "vision": "Check that the images reach the tower as it was trained: size, cropping, grey levels, normalisation.",
    "connector": "Check that every connector weight was loaded, and that pooling or merging leaves enough image "
    "tokens.",
    "llm": "Check the chat template, the place of the image in the prompt, and image positions and attention mask.",
    "answer": "Check the input before any weights: mean, deviation and rescaling of the pixels, size and cropping, the "
    "chat template, and numbers of config.json such as the tower's layer. A fault there is read again by every later "
    "probe and shows in the answer alone. --treat asks the model again under other inputs.",
}
TUNE: dict[Stage, str] = {
    "vision": "Where an earlier layer reads more than the end, use it or tune the layers behind it; where none does, "
    "tune the tower itself on this kind of image with a classification loss.",
    "connector": "Tune the connector alone, tower and LLM frozen, and measure again; if the loss stays, widen it.",
    "llm": "Tune the LLM's layers from where the last prompt token falls, or never rises.",
    "answer": "Tune the LLM on balanced answers, where nothing above gives the signal back.",
}
SETTLE = (
    "The cause is open: a probe says where the signal is readable, not which part loses it. Swap modules with "
    "a checkpoint that answers better (--against: the last release, the general base, the model before tuning) to "
    "settle it."
)
PICTURE = "picture"
"""The path of a change of the picture itself, which no setting makes."""
MEND = "Mend this before the others: compare how the two checkpoints came by it."
AGAIN = "Then run the same command again: what still fails has another cause."


@dataclass(frozen=True)
class Advice:
    """One thing to do, at a place or for the whole."""

    text: str
    place: Place | None = None


def next_steps(diagnosis: Diagnosis) -> list[Advice]:
    """What to do about this diagnosis, in the order in which to do it."""
    if diagnosis.error is not None:
        return [Advice("Mend what the error names and run the same command again; other diagnoses are not affected.")]
    cause = settled(diagnosis)
    if diagnosis.verdict == "fail" and (failing := _failing(diagnosis)):
        if cause is not None:
            return [*_mend(diagnosis, cause), Advice(AGAIN)]
        return [
            *_input(diagnosis, failing),
            *_swap(diagnosis),
            *_evidence(diagnosis, failing),
            *_calibration(diagnosis, failing),
            *(Advice(TUNE[stage], stage) for stage in failing),
        ]
    found = [] if cause is None else _mend(diagnosis, cause)
    if diagnosis.verdict == "pass":
        keep = "Keep this run as the baseline (--save-baseline), so that the next checkpoint is held against it."
        return [*found, Advice(keep)]
    if diagnosis.verdict == "inconclusive":
        texts = [f"{line[0].upper()}{line[1:]}." for line in undecided_lines(diagnosis)]
        if known(diagnosis.minimum_loss):
            texts.append(
                f"This many images can show a loss of {points(diagnosis.minimum_loss)} points or more; add images, or "
                "more patients, to see a smaller one."
            )
        return [*found, *(Advice(text) for text in texts or ["Add images, or more patients, and run again."])]
    return []


def _failing(diagnosis: Diagnosis) -> list[Stage]:
    """The stages at which failing links end, the one that loses most first."""
    weak = weakest(diagnosis)
    failing = [stage for stage, _, link in links(diagnosis) if link.verdict == "fail"]
    return sorted(failing, key=lambda stage: weak is None or stage != weak[0])


def _mend(diagnosis: Diagnosis, cause: Cause) -> list[Advice]:
    """What to do about a cause that has been shown."""
    place = cause.module
    assert place is not None
    if place == "input":
        mend = mended(diagnosis, cause)
        changes = mend[0] if mend is not None else {}
        what = settings_text(changes) or one_line(cause.key or "the input as that of the second checkpoint")
        how = (
            "Hand it over so"
            if PICTURE in changes
            else "Set it so in the checkpoint's files (--processor takes others)"
        )
        how = f"{how}: {what}."
        return [Advice(f"{cause_sentence(diagnosis)} {how}", place)]
    curves = diagnosis.curves
    return [
        Advice(f"{cause_sentence(diagnosis)} {MEND}", place),
        *(Advice(text, place) for text in (EVIDENCE[place](curves) if curves is not None else [])),
        *([Advice(CHECK[place], place)] if place != "answer" else []),
        *_calibration(diagnosis, [place]),
        Advice(TUNE[place], place),
    ]


def _input(diagnosis: Diagnosis, failing: list[Stage]) -> list[Advice]:
    """Input and configuration: what was found of them, and what is to be looked at where nothing was tried."""
    pixels, tried = diagnosis.pixels, diagnosis.counterfactuals
    texts = []
    if pixels is not None:
        texts += [
            f"{path} is {ours}, and {theirs} as published for this model or its base: set it so, and run again."
            for path, ours, theirs in differing(pixels.differs)
        ]
        if far_off(pixels):
            texts.append(f"{reach_sentence(pixels)} Check rescaling, mean and deviation of the processor.")
    if tried is not None:
        texts.append(sentence(tried))
    asked = _tried(tried)
    checks = [Advice(CHECK[s], s if s != "answer" else "input") for s in failing if s != "answer" or not asked]
    return [*(Advice(text, "input") for text in texts), *sorted(checks, key=lambda advice: advice.place != "input")]


def _tried(counterfactuals: Counterfactuals | None) -> bool:
    return counterfactuals is not None and any(other.n_images for other in counterfactuals.tried)


def _swap(diagnosis: Diagnosis) -> list[Advice]:
    cause = diagnosis.cause
    against = None if cause is None else cause.against
    return [Advice(SETTLE if against is None else cause_sentence(diagnosis))]


def _evidence(diagnosis: Diagnosis, failing: list[Stage]) -> list[Advice]:
    found: list[Advice] = []
    for stage in failing:
        texts = EVIDENCE[stage](diagnosis.curves) if diagnosis.curves is not None else []
        if stage == "answer" and diagnosis.answer is not None:
            texts += _answer_evidence(diagnosis.answer)
        found += [Advice(text, stage) for text in texts]
    return found


def may_calibrate(diagnosis: Diagnosis) -> bool:
    """Whether calibration is a remedy and not a way round a fault before it: the options hold more than random tokens
    do, by the lower bound of what they hold, an offset gives some of it back, and the input is sound: other inputs were
    tried and none explains the loss, settings are the published ones, and pixels reach the tower near 0 and 1."""
    answer, signal, pixels = diagnosis.answer, diagnosis.signal, diagnosis.pixels
    if answer is None or signal is None:
        return False
    least = signal.llm + answer.steps.options.ci[0]
    held = least > max(0.0, answer.random_tokens) and answer.calibration.ci[0] > 0
    tried = diagnosis.counterfactuals
    sound = tried is not None and tried.named is None and _tried(tried) and _as_published(pixels)
    return held and sound


def _as_published(pixels: Pixels | None) -> bool:
    return pixels is None or not (pixels.differs or far_off(pixels))


def _calibration(diagnosis: Diagnosis, failing: list[Stage]) -> list[Advice]:
    if "answer" not in failing or not may_calibrate(diagnosis):
        return []
    assert diagnosis.answer is not None
    gained = diagnosis.answer.calibration
    return [
        Advice(
            "Calibrate the options: an offset for each, fitted on other images, gives back "
            f"{points(gained.change)} points ({interval(gained.ci)}), and no other input tried explains the loss.",
            "answer",
        )
    ]
