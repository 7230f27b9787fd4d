"""What JUnit says of a check beside its outcome: whose link it is, and what the diagnosis found."""

from __future__ import annotations

import pytest

from medprobe.diagnostics.judgement.headline import cause_value, settled
from medprobe.diagnostics.judgement.measures import measures
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections import subgroups
from medprobe.plugins.run.diagnosing import mode_of, pair_of


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What is known before the diagnosis, so that an error has it too."""
    pair = pair_of(item)
    if pair is not None:
        item.user_properties += [("model", pair.model.name), ("dataset", pair.dataset.name), ("mode", mode_of(item))]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    diagnosis = getattr(item, "funcargs", {}).get("diagnosis")
    if isinstance(diagnosis, Diagnosis):
        item.user_properties += found(diagnosis)


def found(diagnosis: Diagnosis) -> list[tuple[str, object]]:
    """Verdict of the diagnosis, the failing link that loses most or those that are tied, the cause, signal; what is
    null is left out."""
    cause = cause_value(diagnosis)
    rows: list[tuple[str, object]] = [
        ("revision", diagnosis.revision),
        ("verdict", diagnosis.verdict),
        ("primary_failure_mode", diagnosis.primary_failure_mode),
        ("tied", " ".join(diagnosis.tied) or None),
        ("cause", cause),
        ("cause_certain", None if cause is None else str(settled(diagnosis) is not None).lower()),
        ("cause_key", None if diagnosis.cause is None else diagnosis.cause.key),
        ("regression", None if diagnosis.regression is None else diagnosis.regression.verdict),
        *((one_line(f"least.{criterion.name}"), criterion.verdict) for criterion in diagnosis.least),
        *_by_class(diagnosis),
        *_scores(diagnosis),
        *_by_stratum(diagnosis),
        *((f"signal.{place}", f"{value:.4f}") for place, value in diagnosis.signal or ()),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _by_stratum(diagnosis: Diagnosis) -> list[tuple[str, object]]:
    """`subgroups`, their verdict; `worst_stratum`; `signal.answer.sex.female` and the like with their intervals."""
    strata = diagnosis.attributes
    if strata is None:
        return []
    worst = None if strata.worst is None else one_line(f"{strata.worst.attribute} {strata.worst.value}")
    return [
        ("subgroups", strata.verdict),
        ("worst_stratum", worst),
        *((one_line(name), f"{value:.4f}") for name, value in subgroups.values(strata, ".")),
    ]


def _by_class(diagnosis: Diagnosis) -> list[tuple[str, object]]:
    """`sensitivity.answer.malignant`, with `.low` and `.high` of its interval; `specificity` alike."""
    rows: list[tuple[str, object]] = []
    for measure, table in (("sensitivity", diagnosis.sensitivity), ("specificity", diagnosis.specificity)):
        for place, shares in table.items():
            for name, share in shares.items():
                key, (low, high) = one_line(f"{measure}.{place}.{name}"), share.ci
                rows += [(key, f"{share.value:.4f}"), (f"{key}.low", f"{low:.4f}"), (f"{key}.high", f"{high:.4f}")]
    return rows


def _scores(diagnosis: Diagnosis) -> list[tuple[str, object]]:
    """`auroc`, `auroc.malignant` and the other measures, with `.low` and `.high`; those by class at each place have
    properties of their own.
    """
    rows: list[tuple[str, object]] = []
    for name, found in measures(diagnosis).items():
        if found.value is None or name.startswith(("sensitivity.", "specificity.")):
            continue
        key = one_line(name)
        rows.append((key, f"{found.value:.4f}"))
        if found.ci is not None:
            rows += [(f"{key}.low", f"{found.ci[0]:.4f}"), (f"{key}.high", f"{found.ci[1]:.4f}")]
    return rows
