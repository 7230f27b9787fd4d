"""The summary a person reads in ten seconds: the chain with numbers, the weakest link, the verdict."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter

from medprobe.diagnostics.baselines.outcome import decided
from medprobe.diagnostics.baselines.sentences import compared_text, needed_sentences, pooled_text
from medprobe.diagnostics.judgement.headline import cause_text, headline
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.sections import grounding, subgroups, treatments
from medprobe.plugins.report.sections.controls import minimum_loss_sentence
from medprobe.plugins.report.sections.scores import rank_rows, score_facts, score_rows
from medprobe.plugins.report.sections.sentences import links, span, undecided_lines, verdict_word, weakest
from medprobe.plugins.report.text import MINUS, interval, percent, plural, points, shown

FLAG = "*"


def wrap(text: str, width: int, indent: str = "  ") -> list[str]:
    """Lines of at most `width` columns, in signs every terminal has."""
    # A placeholder goes before a sign of two columns; where a long word is cut between them, a line is one too wide.
    signs = one_line(text).replace(MINUS, "-")
    wide = "".join(f"\0{c}" if unicodedata.east_asian_width(c) in "WF" else c for c in signs)
    lines = textwrap.wrap(
        wide,
        width if wide == signs else width - 1,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )
    return [line.replace("\0", "") for line in lines]


def _head(diagnosis: Diagnosis) -> str:
    found = headline(diagnosis)
    compared = "" if diagnosis.regression is None else f"; {compared_text(diagnosis.regression)}"
    word = verdict_word(diagnosis).upper()
    strata = "; strata: FAIL" if diagnosis.attributes and diagnosis.attributes.verdict == "fail" else ""
    return f"{diagnosis.model} on {diagnosis.dataset}: {word}{f', {found}' if found else ''}{strata}{compared}"


def _weakest_line(diagnosis: Diagnosis) -> str | None:
    found = weakest(diagnosis)
    if found is None:
        return None
    stage, _, link = found
    loss = next(
        (points(step.loss / 1000) for step in steps(diagnosis.signal) if step.stage == stage), points(link.loss)
    )
    kept = "nothing left to lose" if link.retention is None else f"keeps {percent(link.retention)}"
    return f"weakest link: {span(stage)}, loses {loss} points ({interval(link.ci)}), {kept}"


def _counts_line(diagnosis: Diagnosis) -> str:
    found = weakest(diagnosis)
    read = f"read at {found[2].locus}; " if found is not None and found[2].verdict == "fail" else ""
    left_out = f", {diagnosis.n_excluded:,} left out" if diagnosis.n_excluded else ""
    ran = [str(diagnosis.settings[key]) for key in ("dtype", "device") if diagnosis.settings.get(key)]
    made = f"; {' on '.join(ran)}" if ran else ""
    return f"{read}{plural(diagnosis.n_images, 'image')} in {plural(diagnosis.n_groups, 'group')}{left_out}{made}"


def diagnosis_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    """A diagnosis in lines of at most `width` characters."""
    lines = wrap(_head(diagnosis), width, "")
    if diagnosis.error is not None:
        return lines + wrap(diagnosis.error, width)
    if diagnosis.signal is None:
        lines += wrap("signal: not measured", width)
    else:
        chain = [f"{place} {shown(getattr(diagnosis.signal, place), FLAG)}" for place in CHAIN]
        lines += wrap(" > ".join(chain), width)
        if any(FLAG in part for part in chain):
            lines += wrap(f"{FLAG} below chance: shown as 0, counted in differences as it is", width)
    if (line := _weakest_line(diagnosis)) is not None:
        lines += wrap(line, width)
    if diagnosis.verdict == "inconclusive":
        lines += [part for line in undecided_lines(diagnosis) for part in wrap(line, width)]
    lines += wrap(_counts_line(diagnosis), width)
    if (least := minimum_loss_sentence(diagnosis)) is not None:
        lines += wrap(least, width)
    for caution in diagnosis.cautions:
        lines += wrap(f"caution: {caution}", width)
    if (line := cause_text(diagnosis)) is not None:
        lines += wrap(line, width)
    if diagnosis.treatments is not None:
        lines += wrap(f"treatment: {treatments.sentence(diagnosis.treatments)}", width)
    if diagnosis.grounding is not None:
        lines += wrap(f"grounding: {grounding.sentence(diagnosis.grounding)}", width)
    for criterion in diagnosis.least:
        lines += wrap(f"required: {criterion.verdict}: {criterion.reason}", width)
    if diagnosis.attributes is not None:
        strata = diagnosis.attributes
        lines += wrap(f"strata: {strata.verdict}: {subgroups.sentence(strata)}", width)
    if diagnosis.regression is not None:
        verdict = diagnosis.regression.verdict.replace("_", " ")
        lines += wrap(f"against the baseline: {verdict}: {diagnosis.regression.reason}", width)
    return lines


def total_line(report: Report) -> str:
    """The verdict of the whole run, and how many diagnoses had which."""
    counts = Counter(verdict_word(diagnosis) for diagnosis in report.diagnoses)
    parts = [
        f"{counts[word]} {word}" for word in ("fail", "error", "inconclusive", "pass", "not judged") if counts[word]
    ]
    verdict = report.verdict or ("no verdict" if not counts["error"] else "none, because of an error")
    counted = f" ({', '.join(parts)})" if len(report.diagnoses) > 1 else ""
    by = decided(report)
    return f"verdict: {verdict}{f' {by}' if by else ''}{counted}"


def _link_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    return [
        part
        for stage, _, link in links(diagnosis)
        for part in wrap(
            f"{link.verdict} {span(stage)}: loses {points(link.loss)} points ({interval(link.ci)}); {link.reason}; "
            f"read at {link.locus}",
            width,
        )
    ]


def _class_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    """Sensitivity and specificity of each class with their intervals: at the answer, then at the places before it."""
    lines = []
    for name in diagnosis.classes:
        parts = []
        for measure, table in (("sensitivity", diagnosis.sensitivity), ("specificity", diagnosis.specificity)):
            found = {place: table[place][name] for place in CHAIN if name in table.get(place, {})}
            if (said := found.pop("answer", None)) is not None:
                exits = ", ".join(
                    f"{place} {percent(share.value, 1)} ({interval(share.ci)})" for place, share in found.items()
                )
                at = f"; {exits}" if exits else ""
                parts.append(f"{measure} for {name}: answer {percent(said.value, 1)} ({interval(said.ci)}){at}")
        lines += [line for part in parts for line in wrap(part, width)]
    return lines


def _score_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    """AUROC at each place, each operating point, and what else is known of the scores."""
    ranked = "; ".join(f"{place} {cells[0]}" for place, cells in rank_rows(diagnosis))
    points = [
        f"operating point of {name}, {cells[2]}: sensitivity {cells[3]}, specificity {cells[4]}"
        for name, cells in score_rows(diagnosis)
        if cells[4]
    ]
    told = [f"AUROC: {ranked}"] if ranked else []
    return [line for part in [*told, *points, *score_facts(diagnosis)] for line in wrap(part, width)]


def _needed_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    """What the set clears, and the images that would decide each criterion of the regression gate."""
    told = [] if diagnosis.regression is None else needed_sentences(diagnosis.regression)
    return [line for sentence in told for line in wrap(sentence, width)]


def _last_lines(report: Report, width: int) -> list[str]:
    return [line for text in (*report.outdated, total_line(report)) for line in wrap(text, width, "")]


def summary_lines(report: Report, width: int = 80, verbosity: int = 0) -> list[str]:
    """The whole report as plain lines no wider than `width`; colours are the caller's. Below a verbosity of 0 only the
    verdicts, above it every link and class."""
    if not report.diagnoses:
        return wrap("nothing was diagnosed", width, "")
    if verbosity < 0:
        heads = [line for diagnosis in report.diagnoses for line in wrap(_head(diagnosis), width, "")]
        return [*heads, *_last_lines(report, width)]
    lines = wrap("signal in points: 0 is guessing, 100 is every image right", width, "")
    for diagnosis in report.diagnoses:
        lines += diagnosis_lines(diagnosis, width)
        if verbosity > 0:
            lines += _link_lines(diagnosis, width) + _class_lines(diagnosis, width) + _score_lines(diagnosis, width)
            lines += _needed_lines(diagnosis, width)
            lines += [part for line in subgroups.lines(diagnosis) for part in wrap(line, width)]
    lines += [line for found in report.pooled for line in wrap(pooled_text(found), width, "")]
    lines += _last_lines(report, width)
    ungated = [d for d in report.diagnoses if d.regression is None and d.error is None]
    if ungated:
        which = "" if len(ungated) == len(report.diagnoses) else f" for {len(ungated)} of {len(report.diagnoses)}"
        lines += wrap(f"absolute gate only{which}: no baseline was compared", width, "")
    return lines
