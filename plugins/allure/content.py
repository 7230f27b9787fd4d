"""What the report says of one check: its story, its description and its steps, from the diagnosis alone."""

from __future__ import annotations

from html import escape
from typing import NamedTuple, cast

from medprobe.diagnostics.baselines.outcome import COMPARED, gate_sentence
from medprobe.diagnostics.baselines.sentences import all_changes
from medprobe.diagnostics.judgement.headline import LAST, MODE_NAMES, claim, settled
from medprobe.diagnostics.records.chain import Stage, VerdictValue
from medprobe.diagnostics.records.least import criteria_by_check
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.records.report import Diagnosis
from medprobe.plugins.report.sections.advice import next_steps
from medprobe.plugins.report.sections.sentences import links, span, verdict_sentence
from medprobe.plugins.report.sections.subgroups import stratum_rows
from medprobe.plugins.report.text import interval, percent, points, signed

REGRESSION = "regression"
SUBGROUPS = "subgroups"
STORIES: dict[str, str] = {
    **{str(mode): name for mode, name in MODE_NAMES.items()},
    REGRESSION: REGRESSION,
    SUBGROUPS: SUBGROUPS,
}
MEANINGS: dict[str, str] = {
    "visual_representation_quality": (
        "Does the end of the vision tower tell the findings apart as well as a supervised network does on the same "
        "images? If not, part of what the images allow is not readable there."
    ),
    "connector_fidelity_loss": (
        "Does what enters the language model tell the findings apart as well as what left the vision tower? If not, "
        "the signal stops being readable between them."
    ),
    "llm_comprehension_deficit": (
        "Does the last layer of the language model hold what entered its first? If not, the signal stops being "
        "readable inside the language model."
    ),
    "semantic_mapping_misalignment": (
        "Does the written answer say what the last layer holds? If not, the finding can be read up to the last layer "
        "and is not said; what keeps it from being said is open until it is shown, and is often the input."
    ),
    REGRESSION: (
        "Are the answers, and the sensitivity and specificity of every class, no worse than the baseline's on the same "
        "images? If not, the new checkpoint has lost more than is accepted. The exits of tower, connector and language "
        "model are compared too and advise, unless the thresholds let them decide."
    ),
    SUBGROUPS: (
        "Is every stratum of every attribute answered as well as the other images, within the margin, and does the "
        "answer keep its signal where attribute and class are made independent? If not, patients of that stratum are "
        "read worse, or the answer follows a shortcut."
    ),
}
"""What each check asks; `docs/reference/failure-modes.md` says it with the remedies."""
_CHANGES: dict[str, VerdictValue] = COMPARED | {"improved": "pass"}


class AllureStep(NamedTuple):
    title: str
    verdict: VerdictValue
    reason: str


def story(check: str) -> str:
    return STORIES.get(check, check.replace("_", " "))


def description(check: str, diagnosis: Diagnosis | None, gate: Gate = "absolute") -> str:
    """HTML: the verdict of the whole, why this check ended as it did, what it asks, and where it fails what to do.

    `diagnosis` is None where nothing was measured."""
    found, advice = [], []
    if diagnosis is not None:
        found.append(f"<b>{escape(verdict_sentence(diagnosis))}</b>")
        if told := gate_sentence(diagnosis, gate):
            found.append(f"<b>{escape(_sentence(told))}</b>")
        for stage, mode, link in links(diagnosis):
            if mode == check:
                found.append(escape(f"This link, {span(stage)}: {link.verdict}. {_sentence(link.reason)}"))
                if link.verdict == "fail":
                    if told := claim(diagnosis, mode):
                        found.append(escape(_sentence(told)))
                    advice = _advice(diagnosis, stage)
        if check == REGRESSION and diagnosis.regression is not None:
            found.append(escape(_sentence(diagnosis.regression.reason)))
        if (criterion := criteria_by_check(diagnosis.least).get(check)) is not None:
            found.append(escape(_sentence(criterion.reason)))
        if check == SUBGROUPS and diagnosis.attributes is not None:
            found.append(escape(_sentence(diagnosis.attributes.reason)))
        if check in (REGRESSION, LAST):
            found += [escape(text) for text in _classes(diagnosis)]
    if check in MEANINGS:
        found.append(f"<i>{escape(MEANINGS[check])}</i>")
    html = "".join(f"<p>{paragraph}</p>" for paragraph in found)
    return html + (f"<p>Next:</p><ul>{''.join(f'<li>{escape(text)}</li>' for text in advice)}</ul>" if advice else "")


def _classes(diagnosis: Diagnosis) -> list[str]:
    """What the answer says of each class, a sentence each."""
    told = {
        "sensitivity": diagnosis.sensitivity.get("answer", {}),
        "specificity": diagnosis.specificity.get("answer", {}),
    }
    return [
        f"At the answer, {name}: "
        + ", ".join(
            f"{measure} {percent(shares[name].value, 1)} ({interval(shares[name].ci)})"
            for measure, shares in told.items()
            if name in shares
        )
        + "."
        for name in diagnosis.classes
        if name in told["sensitivity"]
    ]


def _advice(diagnosis: Diagnosis, stage: Stage) -> list[str]:
    """What to do about one failing link: all but what concerns other links; of a cause that is shown, all."""
    shown = settled(diagnosis) is not None
    return [step.text for step in next_steps(diagnosis) if shown or step.place in (stage, "input", None)]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def steps(check: str, diagnosis: Diagnosis) -> list[AllureStep]:
    """The links of the chain, what is required, or for the regression the places and classes compared; of these, what
    only advises passes.
    """
    if (criterion := criteria_by_check(diagnosis.least).get(check)) is not None:
        return [AllureStep(criterion.reason, criterion.verdict, "")]
    if check == REGRESSION and diagnosis.regression is not None:
        found = diagnosis.regression
        advising = {stage for stage in found.exits if stage not in found.deciding}
        return [
            AllureStep(
                f"{name}: {'advises, ' if name in advising else ''}{change.verdict.replace('_', ' ')}, "
                f"{signed(change.change)} points ({interval(change.ci)})",
                "pass" if name in advising else _CHANGES[change.verdict],
                "",
            )
            for name, change, _ in all_changes(found)
        ]
    if check == SUBGROUPS and diagnosis.attributes is not None:
        return [
            AllureStep(
                f"{row.attribute} {row.value}: {row.verdict}, {row.of} {row.gap} points against the rest ({row.ci})",
                cast(VerdictValue, row.verdict),
                "",
            )
            for row in stratum_rows(diagnosis.attributes)
            if row.verdict != "counted"
        ]
    return [
        AllureStep(
            f"{span(stage)}: {link.verdict}, loses {points(link.loss)} points ({interval(link.ci)})"
            + ("" if link.retention is None else f", keeps {percent(link.retention)}"),
            link.verdict,
            link.reason,
        )
        for stage, _, link in links(diagnosis)
    ]
