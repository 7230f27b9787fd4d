"""Strata of attributes, as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from medprobe.diagnostics.records.chain import Share, VerdictValue
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.subgroups import Attribute, Attributes, Gap, Stratum
from medprobe.plugins.report.sections.sentences import links
from medprobe.plugins.report.text import interval, joined, shown, signed

MOST_STRATA = 14
"""Rows of the page, which leaves the section on one screen; `report.json` has all."""
EXITS = ("vision", "connector", "llm")


@dataclass(frozen=True)
class StratumRow:
    attribute: str
    value: str
    patients: str
    signal: str
    gap: str
    of: str
    ci: str
    verdict: str


@dataclass(frozen=True)
class AttributeRow:
    name: str
    probes: list[str]
    """Signal of the attribute at the exits of tower, connector and LLM."""
    pooled: str
    within: str
    lost: str
    verdict: str


def absolute_checks(diagnosis: Diagnosis) -> list[tuple[str, VerdictValue]]:
    """Mode and verdict of every check of the absolute gate: the links, and the strata where there are any."""
    strata = [] if diagnosis.attributes is None else [("subgroups", diagnosis.attributes.verdict)]
    return [*((mode, link.verdict) for _, mode, link in links(diagnosis)), *strata]


def lowest(stratum: Stratum) -> Gap | None:
    """Of a stratum the difference that decides: a failing one first, then the largest."""
    order = {"fail": 2, "inconclusive": 1, "pass": 0}
    return max(stratum.gaps, key=lambda gap: (order[gap.verdict], gap.points), default=None)


def stratum_rows(found: Attributes | None) -> list[StratumRow]:
    """The strata by attribute; where there are more than `MOST_STRATA`, those that lie lowest."""
    pairs = [(one, stratum) for one in (found.each if found else []) for stratum in one.strata]
    kept = sorted(range(len(pairs)), key=lambda index: -_depth(pairs[index][1]))[:MOST_STRATA]
    return [_row(*pairs[index]) for index in sorted(kept)]


def _depth(stratum: Stratum) -> float:
    gap = lowest(stratum)
    return -2.0 if gap is None else gap.points + 2 * (gap.verdict == "fail")


def _row(attribute: Attribute, stratum: Stratum) -> StratumRow:
    gap, said = lowest(stratum), stratum.signal.get("answer")
    return StratumRow(
        attribute=attribute.name,
        value=stratum.value,
        patients=f"{stratum.n_groups:,}",
        signal="\N{EN DASH}" if said is None else f"{shown(said.value, '*')} ({interval(said.ci)})",
        gap="\N{EN DASH}" if gap is None else signed(-gap.points),
        of="" if gap is None else "signal" if gap.of is None else f"sensitivity for {gap.of}",
        ci="" if gap is None else interval((-gap.ci[1], -gap.ci[0])),
        verdict="counted" if gap is None else gap.verdict,
    )


def attribute_rows(found: Attributes | None) -> list[AttributeRow]:
    rows = []
    for one in found.each if found else []:
        cut = one.shortcut
        probes = [one.probes.get(stage) for stage in EXITS]  # type: ignore[call-overload]
        rows.append(
            AttributeRow(
                name=one.name,
                probes=[
                    "\N{EN DASH}" if share is None else f"{shown(share.value, '*')} ({interval(share.ci)})"
                    for share in probes
                ],
                pooled="\N{EN DASH}" if cut is None else shown(cut.pooled, "*"),
                within="\N{EN DASH}" if cut is None else shown(cut.within["answer"].value, "*"),
                lost="\N{EN DASH}" if cut is None else f"{signed(-cut.points)} ({interval((-cut.ci[1], -cut.ci[0]))})",
                verdict="not judged" if cut is None else cut.verdict,
            )
        )
    return rows


def sentence(found: Attributes) -> str:
    """What was found, and which strata are counted only."""
    counted = [f"{one.name} {stratum.value}" for one in found.each for stratum in one.strata if not stratum.gaps]
    named = joined(counted) if len(counted) <= 3 else f"{len(counted)} strata"
    more = f"; counted and not judged: {named}" if counted and found.worst is not None else ""
    return f"{found.reason}{more}"


def lines(diagnosis: Diagnosis) -> list[str]:
    """Every stratum in a line, for a terminal."""
    found = diagnosis.attributes
    told = []
    for one in found.each if found else []:
        for stratum in one.strata:
            said = stratum.signal.get("answer")
            parts = [] if said is None else [f"answer {shown(said.value, '*')} points ({interval(said.ci)})"]
            parts += [
                f"sensitivity for {name} {100 * share.value:.1f}% ({interval(share.ci)})"
                for name, share in stratum.sensitivity.items()
            ]
            told.append(f"{one.name} {stratum.value}: {'; '.join(parts) or 'too few patients of a class'}")
    return told


def values(found: Attributes | None, separator: str) -> list[tuple[str, float]]:
    """Name and value of every number of the strata, as JUnit and tables have them: `signal.answer.sex.female`, with
    `.low` and `.high` of its interval.
    """
    rows: list[tuple[str, float]] = []
    for one in found.each if found else []:
        for stratum in one.strata:
            shares = [(("signal", "answer"), share) for place, share in stratum.signal.items() if place == "answer"]
            named: list[tuple[tuple[str, ...], Share]] = [
                *shares,
                *((("sensitivity", "answer", name), share) for name, share in stratum.sensitivity.items()),
                *((("specificity", "answer", name), share) for name, share in stratum.specificity.items()),
            ]
            for name, share in named:
                key = separator.join([*name, one.name, stratum.value])
                rows += [(key, share.value), (f"{key}{separator}low", share.ci[0])]
                rows.append((f"{key}{separator}high", share.ci[1]))
    return rows
