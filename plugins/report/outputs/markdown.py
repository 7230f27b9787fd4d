"""The report as a GitHub job summary: a sentence, and one table row a diagnosis."""

from __future__ import annotations

import re

from medprobe.diagnostics.baselines.outcome import gate_sentence
from medprobe.diagnostics.judgement.headline import cause_text, headline
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.records.report import Diagnosis, Report
from medprobe.plugins.report.outputs.terminal import total_line
from medprobe.plugins.report.sections.sentences import undecided_lines, verdict_word
from medprobe.plugins.report.text import shown

LIMIT = 1024 * 1024
"""Bytes that GitHub takes of a step's summary; a longer one is dropped whole."""

LONGEST = 600
"""Characters of one cell; the rest is in the report."""

COLUMNS = ("model", "data set", "verdict", "finding", " → ".join(CHAIN), "cause, baseline", "cautions")
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}\n"


STRUCTURE = re.compile(r"""(?!(?<=\d)\.(?=\d))[!"#$&*+./:<=>?@\[\\\]^_`{|}~]""")
"""Signs that begin something in Markdown or HTML, and those that make bare addresses links."""
MENTION = re.compile(r"(?<!\w)([@#])(?=\w)")
"""`@name` and `#12`; in `model@revision` the sign follows a word and mentions nobody."""


def plain(text: str) -> str:
    """One line of a cell that Markdown and HTML show as it is.

    Signs are written as character references, which CommonMark (6.2) never takes for structure."""
    line = one_line(text)
    line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
    # GitHub looks for mentions in what was rendered, where a reference is a plain @ again: a word joiner parts it.
    line = MENTION.sub("\\1\N{WORD JOINER}", line)
    return STRUCTURE.sub(lambda sign: f"&#{ord(sign[0])};", line)


def _finding(diagnosis: Diagnosis) -> list[str]:
    if diagnosis.error is not None:
        return [diagnosis.error]
    strata = diagnosis.attributes
    below = [f"strata: {strata.reason}"] if strata is not None and strata.verdict == "fail" else []
    if found := headline(diagnosis):
        return [found, *below]
    return [*(undecided_lines(diagnosis) if diagnosis.verdict == "inconclusive" else []), *below]


def row(diagnosis: Diagnosis, gate: Gate = "absolute") -> str:
    """A diagnosis as one row of the table."""
    signal, regression, cause = diagnosis.signal, diagnosis.regression, cause_text(diagnosis)
    against = [] if cause is None else [cause]
    if regression is not None:
        against += [gate_sentence(diagnosis, gate), f"{regression.verdict.replace('_', ' ')}: {regression.reason}"]
    against += [criterion.reason for criterion in diagnosis.least if criterion.verdict != "pass"]
    cells = (
        [diagnosis.model],
        [diagnosis.dataset],
        [verdict_word(diagnosis)],
        _finding(diagnosis),
        ["not measured" if signal is None else " → ".join(shown(getattr(signal, place), "*") for place in CHAIN)],
        against,
        diagnosis.cautions,
    )
    # Cautions are many where a data set is odd; the ninth and later are in the report.
    return f"| {' | '.join('<br>'.join(map(plain, cell[:8])) for cell in cells)} |\n"


def job_summary(report: Report, room: int = LIMIT) -> str:
    """Markdown of at most `room` bytes; what does not fit is counted in a last sentence. Empty where not even that
    fits."""
    text = f"### medprobe {plain(total_line(report))}\n\n"
    text += "".join(f"**{plain(sentence)}**\n\n" for sentence in report.outdated[:20])
    text += "Signal in points: 0 is guessing, 100 is every image right.\n\n" + HEAD
    rows = [row(diagnosis, report.gate) for diagnosis in report.diagnoses]
    # The last sentence is shorter than 200 bytes.
    left, kept = room - len(text.encode()) - 200, 0
    while kept < len(rows) and (left := left - len(rows[kept].encode())) >= 0:
        kept += 1
    text += "".join(rows[:kept])
    if kept < len(rows):
        text += f"\n{len(rows) - kept:,} of {len(rows):,} diagnoses do not fit here; all are in report.json.\n"
    return text if len(text.encode()) <= room else ""
