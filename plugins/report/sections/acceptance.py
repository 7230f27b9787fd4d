"""What the page of an acceptance record shows, worked out beforehand so that the template only lays it out."""

from __future__ import annotations

from typing import Any

from medprobe.diagnostics.records.acceptance import Acceptance, AcceptedModel, Decision, JudgedCriterion
from medprobe.diagnostics.required import spoken
from medprobe.plugins.report.text import MISSING, interval, number, percent, signed

WORDS: dict[Decision, str] = {"accepted": "accepted", "not_accepted": "not accepted", "undecided": "undecided"}
CHIPS: dict[Decision, str] = {"accepted": "pass", "not_accepted": "fail", "undecided": "inconclusive"}
"""The verdict whose mark and colour a decision has."""
NONE = "\N{EN DASH}"
SHARES = {"sensitivity", "specificity", "ppv", "npv"}


def view(found: Acceptance) -> dict[str, Any]:
    return {
        "found": found,
        "word": WORDS[found.decision],
        "chip_of": CHIPS[found.decision],
        "judged": f"{found.judged:%Y-%m-%d %H:%M} UTC",
        "models": [_model(model) for model in found.models],
        "versions": [(name, value) for name, value in found.suite.facts.items() if name != "code"],
        "machine": list(found.machine.facts.items()),
    }


def _model(model: AcceptedModel) -> dict[str, Any]:
    return {
        "m": model,
        "word": WORDS[model.decision],
        "chip_of": CHIPS[model.decision],
        "made": ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in model.made.items()) or MISSING,
        "rows": [_row(row) for row in model.criteria],
    }


def _row(row: JudgedCriterion) -> tuple[str, str, str, str, str]:
    """Criterion, what is asked, what was read, its interval, the verdict."""
    told = spoken(row.name) if row.kind == "least" else _told(row.name)
    if row.kind == "margin":
        if row.asked is None:
            return told, "not regressed", NONE, NONE, row.verdict
        return told, f"at most {100 * row.asked:g} points lost", signed(row.value), interval(row.ci), row.verdict
    if row.kind == "retention":
        return told, f"at least {100 * row.asked:g}%", percent(row.value), NONE, row.verdict  # type: ignore[operator]
    if row.kind == "least" and not SHARES.isdisjoint(row.name.split(".")[:2]):
        asked = f"at least {100 * row.asked:g}%"  # type: ignore[operator]
        return told, asked, percent(row.value, 1), interval(row.ci), row.verdict
    bound = "at most" if row.name.startswith("health.drop") else "at least"
    return told, f"{bound} {row.asked:g}", number(row.value, 3), interval(row.ci, 1, 3), row.verdict


def _told(name: str) -> str:
    """`sensitivity for malignant`, `change of sensitivity for malignant`."""
    kind, _, rest = name.partition(".")
    if kind == "regression":
        return "everything compared"
    if kind == "change":
        return f"change of {'the answer' if rest == 'answer' else spoken(rest)}"
    if kind == "retention":
        return f"signal kept up to the {rest}"
    return f"health score, {rest.replace('.', ' of ')}"
