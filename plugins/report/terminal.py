"""The summary a person reads in ten seconds: the chain with numbers, the weakest link, the verdict."""

from __future__ import annotations

import textwrap
from collections import Counter

from diagnostics.records import CHAIN, Diagnosis, Report
from plugins.report.controls import minimum_loss_sentence
from plugins.report.text import MINUS, interval, percent, plural, points, shown
from plugins.report.waterfall import steps
from plugins.report.words import MODE_NAMES, span, undecided_lines, verdict_word, weakest

FLAG = "*"


def _clean(text: str) -> str:
    """One line, without control characters (names come from files and hubs), in signs every terminal has."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).replace(MINUS, "-").split())


def _wrap(text: str, width: int, indent: str = "  ") -> list[str]:
    return textwrap.wrap(
        _clean(text), width, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _head(diagnosis: Diagnosis) -> str:
    mode = diagnosis.primary_failure_mode
    if mode is not None:
        detail = f", {MODE_NAMES[mode]}"
    elif diagnosis.tied:
        detail = ", tied: " + ", ".join(MODE_NAMES[mode] for mode in diagnosis.tied)
    else:
        detail = ""
    return f"{diagnosis.model} on {diagnosis.dataset}: {verdict_word(diagnosis).upper()}{detail}"


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


def _cause_line(diagnosis: Diagnosis) -> str | None:
    cause = diagnosis.cause
    if cause is None:
        return None
    if cause.module is None or cause.effects is None:
        return f"cause, against {cause.against}: no module named; {cause.reason}"
    effect = f"{points(getattr(cause.effects, cause.module))} points ({interval(cause.ci[cause.module])})"
    whole = f"of {points(cause.difference)}"
    layer = "" if cause.layer is None else f", layers up to {cause.layer}"
    return f"cause, against {cause.against}: {cause.module}{layer}, {effect} {whole}"


def diagnosis_lines(diagnosis: Diagnosis, width: int) -> list[str]:
    lines = _wrap(_head(diagnosis), width, "")
    if diagnosis.error is not None:
        return lines + _wrap(diagnosis.error, width)
    if diagnosis.signal is None:
        lines += _wrap("signal: not measured", width)
    else:
        chain = [f"{place} {shown(getattr(diagnosis.signal, place), FLAG)}" for place in CHAIN]
        lines += _wrap(" > ".join(chain), width)
        if any(FLAG in part for part in chain):
            lines += _wrap(f"{FLAG} below chance: shown as 0, counted in differences as it is", width)
    if (line := _weakest_line(diagnosis)) is not None:
        lines += _wrap(line, width)
    if diagnosis.verdict == "inconclusive":
        lines += [part for line in undecided_lines(diagnosis) for part in _wrap(line, width)]
    lines += _wrap(_counts_line(diagnosis), width)
    if (least := minimum_loss_sentence(diagnosis)) is not None:
        lines += _wrap(least, width)
    for caution in diagnosis.cautions:
        lines += _wrap(f"caution: {caution}", width)
    if (line := _cause_line(diagnosis)) is not None:
        lines += _wrap(line, width)
    if diagnosis.regression is not None:
        verdict = diagnosis.regression.verdict.replace("_", " ")
        lines += _wrap(f"against the baseline: {verdict}: {diagnosis.regression.reason}", width)
    return lines


def _total_line(report: Report) -> str:
    counts = Counter(verdict_word(diagnosis) for diagnosis in report.diagnoses)
    parts = [
        f"{counts[word]} {word}" for word in ("fail", "error", "inconclusive", "pass", "not judged") if counts[word]
    ]
    verdict = report.verdict or ("no verdict" if not counts["error"] else "none, because of an error")
    return f"verdict: {verdict}" + (f" ({', '.join(parts)})" if len(report.diagnoses) > 1 else "")


def summary_lines(report: Report, width: int = 80) -> list[str]:
    """The whole report as plain lines no wider than `width`; colours are the caller's."""
    if not report.diagnoses:
        return _wrap("nothing was diagnosed", width, "")
    lines = _wrap("signal in points: 0 is guessing, 100 is every image right", width, "")
    for diagnosis in report.diagnoses:
        lines += diagnosis_lines(diagnosis, width)
    lines += _wrap(_total_line(report), width, "")
    ungated = [d for d in report.diagnoses if d.regression is None and d.error is None]
    if ungated:
        which = "" if len(ungated) == len(report.diagnoses) else f" for {len(ungated)} of {len(report.diagnoses)}"
        lines += _wrap(f"absolute gate only{which}: no baseline was compared", width, "")
    return lines
