"""Which gate decided a run, and what each said: every output that names an outcome takes it from here."""

from __future__ import annotations

from typing import Literal

from medprobe.diagnostics.baselines.sentences import compared_text
from medprobe.diagnostics.judgement.headline import headline
from medprobe.diagnostics.records.chain import VerdictValue, worst
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.records.report import Diagnosis, Report

COMPARED: dict[str, VerdictValue] = {"regressed": "fail", "not_regressed": "pass", "inconclusive": "inconclusive"}
"""What a comparison with a baseline makes of a run."""


Judge = Literal["absolute", "regression", "least"]
NAMES: dict[Judge, str] = {
    "absolute": "the absolute gate",
    "regression": "the regression gate",
    "least": "what is required",
}


def gate_verdicts(diagnosis: Diagnosis, gate: Gate) -> dict[Judge, VerdictValue | None]:
    """What each gate that was asked for says of a diagnosis, and what is required of its answer; null on an error."""
    if diagnosis.error is not None:
        return {"absolute": None}
    said: dict[Judge, VerdictValue | None] = {}
    if gate in ("absolute", "both") or (gate == "regression" and diagnosis.regression is None):
        said["absolute"] = absolute_verdict(diagnosis)
    if diagnosis.regression is not None:
        said["regression"] = COMPARED[diagnosis.regression.verdict]
    if diagnosis.least:
        said["least"] = worst([criterion.verdict for criterion in diagnosis.least])
    return said


def absolute_verdict(diagnosis: Diagnosis) -> VerdictValue | None:
    """The verdict of the links and, where the data set has attributes, of its strata; null on an error."""
    strata = [] if diagnosis.attributes is None else [diagnosis.attributes.verdict]
    return worst([diagnosis.verdict, *strata])


def decided(report: Report) -> str:
    """`by the regression gate: regressed against release.json: answer -84.7 (-93.8 to -74.2)`: whose verdict the
    report's is, and what another says that differs; empty where the links alone judged, or nothing is known."""
    said: dict[Judge, list[VerdictValue | None]] = {}
    for diagnosis in report.diagnoses:
        for judge, verdict in gate_verdicts(diagnosis, report.gate).items():
            said.setdefault(judge, []).append(verdict)
    if report.verdict is None:
        return ""
    if set(said) <= {"absolute"}:
        return _decided_by_strata(report)
    whole = {judge: worst(verdicts) for judge, verdicts in said.items()}
    by = [judge for judge, verdict in whole.items() if verdict == report.verdict]
    text = "by both gates" if by == ["absolute", "regression"] else f"by {' and '.join(NAMES[judge] for judge in by)}"
    if len(report.diagnoses) == 1:
        told = [part for judge in by if (part := _said(report.diagnoses[0], judge))]
        text += f": {'; '.join(told)}" if told else ""
    text += "".join(f"; {NAMES[judge]} says {verdict}" for judge, verdict in whole.items() if judge not in by)
    absolute = worst([absolute_verdict(diagnosis) for diagnosis in report.diagnoses])
    if "absolute" not in whole and absolute != report.verdict:
        text += f"; the absolute gate, which was not asked, says {absolute}"
    return text


def _decided_by_strata(report: Report) -> str:
    """`by the strata: ...` where they make the verdict worse than every chain's."""
    if worst([d.verdict for d in report.diagnoses]) == report.verdict:
        return ""
    told = [d.attributes.reason for d in report.diagnoses if d.attributes and d.attributes.verdict == report.verdict]
    return f"by the strata{f': {told[0]}' if len(told) == 1 else ''}"


def gate_sentence(diagnosis: Diagnosis, gate: Gate) -> str:
    """What the comparison with the baseline found and whose word counts; empty where none was compared."""
    if diagnosis.regression is None:
        return ""
    found = compared_text(diagnosis.regression)
    if gate == "regression":
        decides = "and what is required decide" if diagnosis.least else "alone decides"
        other = absolute_verdict(diagnosis)
        return f"{found}; the regression gate {decides} this run, the absolute gate would say {other}"
    absolute, compared = absolute_verdict(diagnosis), COMPARED[diagnosis.regression.verdict]
    if absolute == compared:
        return f"{found}; both gates say {absolute}"
    by = "regression" if worst([absolute, compared]) == compared else "absolute"
    return f"{found}; the {by} gate decides, absolute {absolute}, regression {compared}"


def brief_outcome(report: Report) -> str:
    """The verdict as a badge has it."""
    message: str = report.verdict or "error"
    if len(report.diagnoses) != 1 or report.verdict is None:
        gates = {gate for d in report.diagnoses for gate in gate_verdicts(d, report.gate)}
        return f"{message}, regression gate" if gates == {"regression"} and report.verdict is not None else message
    (diagnosis,) = report.diagnoses
    said = gate_verdicts(diagnosis, report.gate)
    told = [part for gate, verdict in said.items() if verdict == report.verdict and (part := _said(diagnosis, gate))]
    return ", ".join([message, *told])


def _said(diagnosis: Diagnosis, judge: Judge) -> str:
    if judge == "least":
        return "; ".join(criterion.reason for criterion in diagnosis.least if criterion.verdict != "pass")
    if judge == "regression":
        return compared_text(diagnosis.regression) if diagnosis.regression is not None else ""
    strata = diagnosis.attributes
    told = [headline(diagnosis)] if diagnosis.verdict == absolute_verdict(diagnosis) else []
    told += [f"strata: {strata.reason}"] if strata is not None and strata.verdict == "fail" else []
    return ", ".join(filter(None, told))
