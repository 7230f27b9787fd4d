"""The last link in three steps, and facts about the answer."""

from __future__ import annotations

from medprobe.diagnostics.records.chain import Difference
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.text import interval, percent, shown, signed


def answer_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """Reading of the last link, signal in points, change to the reading before it, interval of the change."""
    answer, signal = diagnosis.answer, diagnosis.signal
    if answer is None or signal is None:
        return []
    rows: list[tuple[str, float, Difference | None]] = [
        ("last layer of the LLM", signal.llm, None),
        ("readable in the likelihoods of the options", answer.readable_in_options, answer.steps.options),
        ("the likeliest option", answer.likeliest, answer.steps.likeliest),
        ("the class said in the text", answer.said, answer.steps.said),
    ]
    return [
        (
            name,
            shown(value),
            "" if change is None else signed(change.change),
            "" if change is None else interval(change.ci),
        )
        for name, value, change in rows
    ]


def answer_facts(diagnosis: Diagnosis) -> list[str]:
    """What the answer rests on, a sentence each."""
    answer = diagnosis.answer
    if answer is None:
        return []
    found = [
        "Calibration: an offset for each option, fitted on other images, changes what the likeliest option reads by "
        f"{signed(answer.calibration.change)} points ({interval(answer.calibration.ci)}): {shown(answer.calibrated)}.",
        f"Control: the likelihoods of as many random tokens read {shown(answer.random_tokens)} points.",
        f"The picture decides {percent(answer.modality_reliance)} of the answer: with an image of another class in its "
        f"place {percent(answer.swapped_image)} of the likeliest options stay the same, with a blank one "
        f"{percent(answer.blank_image)}.",
    ]
    orders = [] if answer.option_order is None else [("With the options in reverse order", answer.option_order)]
    rewordings = [*orders, *(("In other words", paraphrase) for paraphrase in answer.paraphrases)]
    return found + [
        f"{words} (\N{LEFT DOUBLE QUOTATION MARK}{item.prompt}\N{RIGHT DOUBLE QUOTATION MARK}, {item.n_images} images) "
        f"the likeliest option is the same for {percent(item.agreement)}; what is said reads {shown(item.said)} "
        f"points, as asked {shown(item.said_as_asked)}."
        for words, item in rewordings
    ]
