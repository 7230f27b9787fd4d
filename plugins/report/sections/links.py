"""The links of the chain, and what is read at every exit."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.judgement.headline import MODE_NAMES
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.sections.sentences import links, span
from medprobe.plugins.report.text import MISSING, interval, percent, points, shown


@dataclass(frozen=True)
class LinkRow:
    span: str
    mode: str
    verdict: str
    before: str
    after: str
    loss: str
    ci: str
    retention: str
    threshold: str
    locus: str
    reason: str
    primary: bool


def link_rows(diagnosis: Diagnosis) -> list[LinkRow]:
    """A row a link: verdict, signals on both sides, loss, retention and locus."""
    chain = {step.stage: step for step in steps(diagnosis.signal)}
    rows = []
    for stage, mode, link in links(diagnosis):
        step = chain.get(stage)
        rows.append(
            LinkRow(
                span=span(stage).replace("->", "\N{RIGHTWARDS ARROW}"),
                mode=MODE_NAMES[mode],
                verdict=link.verdict,
                before=shown(step.before / 1000, "*") if step else MISSING,
                after=shown(step.after / 1000, "*") if step else MISSING,
                loss=points(step.loss / 1000 if step else link.loss),
                ci=interval(link.ci),
                retention=percent(link.retention, missing="nothing left to lose"),
                threshold=percent(link.threshold),
                locus=link.locus,
                reason=link.reason.rstrip(". "),
                primary=mode == diagnosis.primary_failure_mode,
            )
        )
    return rows


def exits(diagnosis: Diagnosis) -> list[tuple[str, str, bool]]:
    """Place, the loci that were read there with the number of folds, and whether it reads below chance."""
    rows = []
    for place, taken in diagnosis.exits.items():
        order = sorted(taken.loci.items(), key=lambda item: (-item[1], item[0]))
        rows.append((place, ", ".join(f"{locus} ({n})" for locus, n in order) or MISSING, taken.below_chance))
    return rows


def signal_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """Place, signal in points, its interval, plain accuracy."""
    rows = []
    for place in CHAIN:
        signal = getattr(diagnosis.signal, place) if diagnosis.signal else None
        accuracy = getattr(diagnosis.accuracy, place) if diagnosis.accuracy else None
        rows.append((place, shown(signal, "*"), interval(diagnosis.signal_ci.get(place)), percent(accuracy, 1)))
    return rows
