"""A diagnosis held against criteria fixed beforehand. Every verdict is the suite's own; here they are gathered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from medprobe.diagnostics.acceptance.criteria import CriteriaFile
from medprobe.diagnostics.baselines.outcome import COMPARED
from medprobe.diagnostics.records.acceptance import AcceptedModel, Decision, Fingerprints, JudgedCriterion
from medprobe.diagnostics.records.chain import FAILURE_MODES, HealthLimit, VerdictValue, worst
from medprobe.diagnostics.records.regression import Change, Regression
from medprobe.diagnostics.records.report import Diagnosis

DECISIONS: dict[VerdictValue | None, Decision] = {
    "pass": "accepted",
    "fail": "not_accepted",
    "inconclusive": "undecided",
    None: "undecided",
}
WORST: tuple[Decision, ...] = ("not_accepted", "undecided", "accepted")
CHANGED: dict[str, VerdictValue] = {**COMPARED, "improved": "pass"}


def judged(diagnosis: Diagnosis, criteria: CriteriaFile) -> AcceptedModel:
    """What each criterion says of one model on one data set, and what follows: accepted where all hold, not accepted
    where one does not, else undecided.
    """
    rows = [] if diagnosis.error is not None else list(_rows(diagnosis, criteria))
    whole = worst([row.verdict for row in rows])
    reasons = [row.reason for row in rows if row.verdict == whole]
    if diagnosis.error is not None:
        why = "it could not be measured; report.json says why"  # the error may name a folder
    elif not rows:
        why = "no criterion is of this model and data set"
    else:
        why = f"all {len(rows)} criteria hold" if whole == "pass" else "; ".join(dict.fromkeys(reasons))
    settings = diagnosis.settings
    prompt = settings.get("prompt")
    return AcceptedModel(
        model=diagnosis.model,
        revision=diagnosis.revision,
        dataset=diagnosis.dataset,
        n_images=diagnosis.n_images,
        n_groups=diagnosis.n_groups,
        fingerprints=Fingerprints(
            model=settings.get("model_fingerprint"),
            data=settings.get("data_fingerprint"),
            prompt=None if prompt is None else hashlib.sha256(prompt.encode()).hexdigest(),
        ),
        made={name: str(settings[name]) for name in ("device", "dtype", "batch_size") if name in settings},
        baseline=None if diagnosis.regression is None else diagnosis.regression.baseline,
        decision=DECISIONS[whole],
        why=why,
        criteria=rows,
    )


def decision_of(models: Sequence[AcceptedModel]) -> Decision:
    """The worst of all models: one that is not accepted before one that is undecided."""
    return next(decision for decision in WORST if any(model.decision == decision for model in models))


def _rows(diagnosis: Diagnosis, criteria: CriteriaFile) -> Iterator[JudgedCriterion]:
    names = (diagnosis.model, diagnosis.dataset)
    for found in diagnosis.least:
        yield JudgedCriterion(
            kind="least",
            name=found.name,
            asked=found.least,
            value=found.value,
            ci=found.ci,
            verdict=found.verdict,
            reason=found.reason,
        )
    if criteria.compares and diagnosis.regression is not None:
        yield from _changes(diagnosis.regression)
    for stage in criteria.written.resolve(*names):
        assert diagnosis.failure_modes is not None
        link = getattr(diagnosis.failure_modes, FAILURE_MODES[stage])
        low, high = (100 * bound for bound in link.ci)
        yield JudgedCriterion(
            kind="retention",
            name=f"retention.{stage}",
            asked=link.threshold,
            value=link.retention,
            ci=None,
            verdict=link.verdict,
            reason=f"{link.reason}; loses {100 * link.loss:.1f} points ({low:.1f} to {high:.1f})",
        )
    limits = criteria.written.health_limits(*names)
    yield from (_health("health", limit) for limit in diagnosis.health_limits if limit.curve in limits.least)


def _changes(found: Regression) -> Iterator[JudgedCriterion]:
    """The answer's signal and each class, and all that the comparison decides together, which may be more."""
    changes: list[tuple[str, str, Change, float]] = []
    if (answer := found.exits.get("answer")) is not None:
        changes.append(("change.answer", "signal of the answer", answer, found.minimum_effect))
    for measure, table in (("sensitivity", found.sensitivity), ("specificity", found.specificity)):
        changes += [(f"change.{measure}.{n}", f"{measure} for {n}", c, c.margin) for n, c in table.items()]
    for name, told, change, margin in changes:
        low, high = (100 * bound for bound in change.ci)
        yield JudgedCriterion(
            kind="margin",
            name=name,
            asked=margin,
            value=change.change,
            ci=change.ci,
            verdict=CHANGED[change.verdict],
            reason=f"{told} {100 * change.change:+.1f} points ({low:+.1f} to {high:+.1f}), "
            f"{100 * margin:g} may be lost",
        )
    yield from (_health("health.drop", drop) for drop in found.health_drops)
    yield JudgedCriterion(
        kind="margin",
        name="regression",
        asked=None,
        value=None,
        ci=None,
        verdict=COMPARED[found.verdict],
        reason=f"{found.verdict.replace('_', ' ')} against {found.baseline.file}: {found.reason}",
    )


def _health(prefix: str, limit: HealthLimit) -> JudgedCriterion:
    return JudgedCriterion(
        kind="health",
        name=f"{prefix}.{limit.curve}",
        asked=limit.limit,
        value=limit.value,
        ci=limit.ci,
        verdict=limit.verdict,
        reason=limit.reason,
    )
