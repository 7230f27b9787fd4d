"""Every measure of a diagnosis by one name: `auroc.malignant`, `sensitivity.malignant`, `macro_f1`."""

from __future__ import annotations

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.scores import AnswerScores, Measured


def measures(diagnosis: Diagnosis) -> dict[str, Measured]:
    """The measures of the answer with their intervals, by name; empty where the diagnosis ended in an error.

    `auroc` is the mean over the classes. `sensitivity.<class>` and `specificity.<class>` are of the class that the text
    names, `operating_point.*` of the option likelihoods at a threshold. `brier` and `ece` are of the options as the
    model gives them. What could not be computed has no value, and the reason.
    """
    found: dict[str, Measured] = {}
    for measure, table in (("sensitivity", diagnosis.sensitivity), ("specificity", diagnosis.specificity)):
        for name, share in table.get("answer", {}).items():
            found[f"{measure}.{name}"] = Measured(value=share.value, ci=share.ci)
    return found | ({} if diagnosis.scores is None else _of_scores(diagnosis.scores))


def _of_scores(scores: AnswerScores) -> dict[str, Measured]:
    answer = scores.auroc["answer"]
    found = {"auroc": answer.macro, **_named("auroc", answer.classes)}
    found |= _named("average_precision", scores.average_precision)
    found |= {"brier": scores.probabilities.brier, "ece": scores.probabilities.ece}
    found |= _named("f1", scores.f1)
    found |= {"macro_f1": scores.macro_f1, "kappa": scores.kappa, "quadratic_kappa": scores.quadratic_kappa}
    for name, point in scores.operating_point.items():
        found[f"operating_point.sensitivity.{name}"] = point.sensitivity
        found[f"operating_point.specificity.{name}"] = point.specificity
    for name, at in scores.predictive_values.items():
        found |= {f"ppv.{name}": at.answer.ppv, f"npv.{name}": at.answer.npv}
        if at.operating_point is not None:
            found[f"operating_point.ppv.{name}"] = at.operating_point.ppv
            found[f"operating_point.npv.{name}"] = at.operating_point.npv
    return found


def _named(measure: str, by_class: dict[str, Measured]) -> dict[str, Measured]:
    return {f"{measure}.{name}": value for name, value in by_class.items()}
