"""What each remedy gave back, for the page, the terminal and the advice."""

from __future__ import annotations

from medprobe.diagnostics.records.answer import RemedyName, Treatment, Treatments
from medprobe.plugins.report.text import interval, number, points, shown, signed

NAMES: dict[RemedyName, str] = {
    "calibration": "calibration: an offset for each option, fitted on labelled images",
    "batch_prior": "prior of the options, read from the other images, taken off",
    "blank_prior": "prior of the options, read from a blank picture, taken off",
    "blank_contrast": "contrastive decoding against a blank picture",
    "noise_contrast": "contrastive decoding against a noised picture",
    "image_guidance": "guidance away from the question without a picture",
    "option_order": "mean over both orders of the options",
    "prompts": "mean over the manifest's paraphrases",
    "options_probe": "probe on the option likelihoods as the answer",
    "llm_probe": "probe at the last layer of the LLM as the answer",
    "connector_probe": "probe at what enters the LLM as the answer",
}
SHORT: dict[RemedyName, str] = {
    **{name: text.partition(":")[0] for name, text in NAMES.items()},
    "options_probe": "a probe on the option likelihoods",
    "llm_probe": "a probe at the last layer of the LLM",
    "connector_probe": "a probe at what enters the LLM",
    "batch_prior": "taking off the options' prior over the other images",
    "blank_prior": "taking off the options' prior under a blank picture",
}
MEANS: dict[RemedyName, str] = {
    "options_probe": "the likelihoods of the options hold the signal, in another order or scale",
    "llm_probe": "the signal can be read at the last layer and not in the options",
    "connector_probe": "more can be read where the LLM begins than where it ends",
}
IN_OPTIONS = "the options hold the signal"
WORTH = 0.05
"""Of signal: one remedy is preferred to a simpler one only if it gives back so much more."""


def best(treatments: Treatments) -> Treatment | None:
    """The first remedy, in the order of the record, that helps and gives back nearly the most of those that help."""
    helping = [(trial, trial.change.change) for trial in treatments.trials if trial.helps and trial.change]
    most = max((change for _, change in helping), default=0.0)
    return next((trial for trial, change in helping if change >= most - WORTH), None)


def sentence(treatments: Treatments) -> str:
    """What the remedies come to, in one sentence."""
    trial = best(treatments)
    if trial is not None and trial.change is not None:
        return (
            f"{SHORT[trial.name]} gives back {points(trial.change.change)} of {points(treatments.lost)} points "
            f"({interval(trial.change.ci)}): {MEANS.get(trial.name, IN_OPTIONS)}"
        )
    if treatments.lost <= 0:
        return "nothing is lost that a remedy could give back"
    n_tried = sum(trial.change is not None for trial in treatments.trials)
    return f"none of the {n_tried} remedies tried gives back any of {points(treatments.lost)} points"


def rows(treatments: Treatments | None) -> list[tuple[str, str, str, str, str, str]]:
    """Remedy, signal, points given back, their interval, whether it helps or why it was not tried, and its cost."""
    return [
        (
            NAMES[trial.name],
            shown(trial.signal),
            signed(change.change),
            interval(change.ci),
            _verdict(trial),
            _cost(trial),
        )
        if (change := trial.change) is not None
        else (NAMES[trial.name], "", "", "", f"not tried: {trial.reason}", _cost(trial))
        for trial in (treatments.trials if treatments else [])
    ]


def _verdict(trial: Treatment) -> str:
    return "helps" if trial.helps else "does not help"


def _cost(trial: Treatment) -> str:
    passes = (
        f"{number(trial.passes, 0)} more {'pass' if trial.passes == 1 else 'passes'} an image" if trial.passes else ""
    )
    return ", ".join(part for part in (passes, "labelled images" if trial.labelled else "") if part) or "none"
