"""What the scores of the answer are worth: ranking, thresholds, probabilities."""

from __future__ import annotations

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.scores import AnswerScores, Measured, OperatingPoint, Probabilities
from medprobe.plugins.report.text import interval, number, percent

SAID = "answer, as said"


def rank_rows(diagnosis: Diagnosis) -> list[tuple[str, list[str]]]:
    """Place, AUROC over the classes and of each class where there are more than two, with intervals."""
    scores = diagnosis.scores
    if scores is None:
        return []
    names = {"said": SAID, "answer": "answer, option likelihoods"}
    return [
        (
            names.get(place, place),
            [index(found.macro), *(index(of) for of in found.classes.values() if len(found.classes) > 2)],
        )
        for place, found in scores.auroc.items()
    ]


def score_rows(diagnosis: Diagnosis) -> list[tuple[str, list[str]]]:
    """Class, average precision, F1, and what its operating point gives."""
    scores = diagnosis.scores
    if scores is None:
        return []
    return [
        (name, [index(scores.average_precision[name]), index(scores.f1[name]), *_at(scores.operating_point.get(name))])
        for name in scores.f1
    ]


def score_facts(diagnosis: Diagnosis) -> list[str]:
    """Probabilities, predictive values and agreement, a sentence each."""
    scores = diagnosis.scores
    if scores is None:
        return []
    found = [
        f"Probabilities of the options: {_believed(scores.probabilities)}; under an offset for each option, fitted on "
        f"other images, {_believed(scores.probabilities_after_offset)}.",
        f"What the text says: macro F1 {index(scores.macro_f1)}, Cohen's kappa {index(scores.kappa)}"
        + (f", quadratic {index(scores.quadratic_kappa)}" if scores.quadratic_kappa.value is not None else "")
        + ".",
    ]
    return found + _predictive(scores)


def _predictive(scores: AnswerScores) -> list[str]:
    facts = []
    for name, at in scores.predictive_values.items():
        readings = {"as said": at.answer, "at the operating point": at.operating_point}
        parts = [f"{where} PPV {told(of.ppv)}, NPV {told(of.npv)}" for where, of in readings.items() if of is not None]
        facts.append(
            f"Where {percent(at.prevalence, 1)} of the images are {name}: {'; '.join(parts)}. PPV: of the images "
            "called this, those that are; NPV: of the others, those that are not."
        )
    return facts


def _believed(found: Probabilities) -> str:
    return f"Brier score {index(found.brier)}, calibration error {index(found.ece)}"


def _at(point: OperatingPoint | None) -> list[str]:
    if point is None:
        return ["not asked", "", ""]
    asked = f"{point.asked} {percent(point.at, 1)}"
    return [asked, told(point.sensitivity), told(point.specificity)]


def told(found: Measured) -> str:
    """A share of images: `94.1% (91.0 to 96.9)`, or why there is none."""
    if found.value is None:
        return f"not measured, since {found.reason}"
    return f"{percent(found.value, 1)} ({interval(found.ci) if found.ci else found.reason})"


def index(found: Measured) -> str:
    """What is no share of images: `0.941 (0.910 to 0.969)`, or why there is none."""
    if found.value is None:
        return f"not measured, since {found.reason}"
    return f"{number(found.value, 3)} ({interval(found.ci, 1, 3) if found.ci else found.reason})"
