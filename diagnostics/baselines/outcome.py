"""Which gate decided a run, and what each said: every output that names an outcome takes it from here."""

from __future__ import annotations

from medprobe.diagnostics.baselines.sentences import compared_text
from medprobe.diagnostics.judgement.headline import headline
from medprobe.diagnostics.records.chain import VerdictValue, worst
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.records.report import Diagnosis, Report

COMPARED: dict[str, VerdictValue] = {"regressed": "fail", "not_regressed": "pass", "inconclusive": "inconclusive"}
"""What a comparison with a baseline makes of a run."""


def gate_verdicts(diagnosis: Diagnosis, gate: Gate) -> dict[Gate, VerdictValue | None]:
    """What each gate that was asked for says of a diagnosis; null on an error."""
    if diagnosis.error is not None or diagnosis.regression is None:
        return {"absolute": absolute_verdict(diagnosis)}
    compared = COMPARED[diagnosis.regression.verdict]
    absolute = absolute_verdict(diagnosis)
    return {"regression": compared} if gate == "regression" else {"absolute": absolute, "regression": compared}


def absolute_verdict(diagnosis: Diagnosis) -> VerdictValue | None:
    """The verdict of the links and, where the data set has attributes, of its strata; null on an error."""
    strata = [] if diagnosis.attributes is None else [diagnosis.attributes.verdict]
    return worst([diagnosis.verdict, *strata])


def decided(report: Report) -> str:
    """`by the regression gate: regressed against release.json: answer -84.7 (-93.8 to -74.2)`: whose verdict the
    report's is, and what another gate says that differs; empty where no baseline was compared or nothing is known."""
    compared = [d for d in report.diagnoses if d.regression is not None]
    if report.verdict is None:
        return ""
    if not compared:
        return _decided_by_strata(report)
    said = {gate: _worst(report, gate) for gate in _asked(report.gate)}
    by = [gate for gate, verdict in said.items() if verdict == report.verdict]
    text = "by both gates" if len(by) == 2 else f"by the {by[0]} gate"
    if len(report.diagnoses) == 1:
        (diagnosis,) = report.diagnoses
        told = [part for gate in by if (part := _said(diagnosis, gate))]
        text += f": {'; '.join(told)}" if told else ""
    rest = [gate for gate in said if gate not in by]
    text += "".join(f"; the {gate} gate says {said[gate]}" for gate in rest)
    absolute = _worst(report, "absolute")
    if report.gate == "regression" and absolute != report.verdict:
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
        other = absolute_verdict(diagnosis)
        return f"{found}; the regression gate alone decides this run, the absolute gate would say {other}"
    absolute, compared = gate_verdicts(diagnosis, gate).values()
    if absolute == compared:
        return f"{found}; both gates say {absolute}"
    by = "regression" if worst([absolute, compared]) == compared else "absolute"
    return f"{found}; the {by} gate decides, absolute {absolute}, regression {compared}"


def brief_outcome(report: Report) -> str:
    """The verdict as a badge has it."""
    message: str = report.verdict or "error"
    if len(report.diagnoses) != 1 or report.verdict is None:
        gates = {gate for d in report.diagnoses if d.regression is not None for gate in gate_verdicts(d, report.gate)}
        return f"{message}, regression gate" if gates == {"regression"} and report.verdict is not None else message
    (diagnosis,) = report.diagnoses
    said = gate_verdicts(diagnosis, report.gate)
    told = [part for gate, verdict in said.items() if verdict == report.verdict and (part := _said(diagnosis, gate))]
    return ", ".join([message, *told])


def _asked(gate: Gate) -> tuple[Gate, ...]:
    return ("absolute", "regression") if gate == "both" else (gate,)


def _worst(report: Report, gate: Gate) -> VerdictValue | None:
    """The verdict of one gate over all diagnoses it judged."""
    if gate == "absolute":
        return worst([absolute_verdict(d) for d in report.diagnoses])
    return worst([COMPARED[d.regression.verdict] for d in report.diagnoses if d.regression is not None])


def _said(diagnosis: Diagnosis, gate: Gate) -> str:
    if gate == "regression":
        return compared_text(diagnosis.regression) if diagnosis.regression is not None else ""
    strata = diagnosis.attributes
    told = [headline(diagnosis)] if diagnosis.verdict == absolute_verdict(diagnosis) else []
    told += [f"strata: {strata.reason}"] if strata is not None and strata.verdict == "fail" else []
    return ", ".join(filter(None, told))
