"""What the templates show of a diagnosis, worked out beforehand so that they only lay it out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from medprobe.diagnostics.baselines.sentences import all_changes, compared_text
from medprobe.diagnostics.judgement.headline import MODE_NAMES, cause_text, headline
from medprobe.diagnostics.judgement.outcome import COMPARED, gate_sentence
from medprobe.diagnostics.records.report import CHAIN, PLACES, Diagnosis, Difference, Gate, Layer, Predictions, Report
from medprobe.plugins.report.pictures.waterfall import steps
from medprobe.plugins.report.sections import grounding, inputs, treatments
from medprobe.plugins.report.sections.advice import next_steps
from medprobe.plugins.report.sections.controls import minimum_loss_sentence, sentences
from medprobe.plugins.report.sections.lost_images import UNNAMED, LostClass, lost_on_the_way
from medprobe.plugins.report.sections.sentences import (
    JUDGED_ON,
    cause_sentence,
    links,
    reference_sentence,
    span,
    verdict_sentence,
    verdict_word,
    weakest,
)
from medprobe.plugins.report.text import MISSING, interval, known, number, percent, points, shown, signed

NOT_GIVEN = "not given"
MOST_ROWS = 200
MOST_ITEMS = 40
MARKS = {"pass": "\N{CHECK MARK}", "fail": "\N{MULTIPLICATION X}", "inconclusive": "?", "error": "!", "not judged": "?"}


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


@dataclass(frozen=True)
class Cell:
    count: int
    share: float | None


@dataclass(frozen=True)
class Confusion:
    place: str
    columns: list[str]
    rows: list[tuple[str, list[Cell]]]


@dataclass(frozen=True)
class CauseRow:
    module: str
    effect: str
    ci: str
    bar: float
    gain: str
    gain_ci: str
    loss: str
    loss_ci: str
    named: bool


@dataclass(frozen=True)
class CurveTable:
    name: str
    layers: list[Layer]


def link_rows(diagnosis: Diagnosis) -> list[LinkRow]:
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


def cause_rows(diagnosis: Diagnosis) -> list[CauseRow]:
    """One row a place; empty where nothing could be swapped. A place that was not swapped alone has no gain or loss."""
    cause = diagnosis.cause
    if cause is None or cause.effects is None:
        return []
    rows = []
    for place in PLACES:
        effect, swap = getattr(cause.effects, place), cause.swaps.get(place)
        rows.append(
            CauseRow(
                module=place,
                effect=points(effect),
                ci=interval(cause.ci.get(place)),
                bar=max(0.0, min(1.0, effect)),
                gain=MISSING if swap is None else points(swap.gain),
                gain_ci=MISSING if swap is None else interval(swap.gain_ci),
                loss=MISSING if swap is None else points(swap.loss),
                loss_ci=MISSING if swap is None else interval(swap.loss_ci),
                named=place == cause.module,
            )
        )
    return rows


def cause_facts(diagnosis: Diagnosis) -> list[str]:
    """The second checkpoint as it ships, and what the effects share out, a sentence each."""
    cause = diagnosis.cause
    if cause is None or cause.against is None:
        return []
    found, judged = [], f"judged by {JUDGED_ON[cause.judged_on]}"
    if cause.shipped is not None:
        found.append(
            f"{cause.against} as it ships, with its own input, reads {shown(cause.shipped.signal)} points "
            f"({interval(cause.shipped.ci)}) on the same images, {judged}."
        )
    if cause.difference is not None:
        shared = "" if cause.effects is None else "; the effects share this out over the places and add up to it"
        found.append(
            f"On {cause.n_images:,} images {cause.against} answers {signed(cause.difference)} points against the model "
            f"({interval(cause.difference_ci)}), {judged}{shared}."
        )
    return found


def _share(row: list[int], count: int) -> Cell:
    total = sum(row)
    return Cell(count, count / total if total else None)


def _class(diagnosis: Diagnosis, index: int) -> str:
    return diagnosis.classes[index] if index < len(diagnosis.classes) else f"class {index + 1}"


def confusions(diagnosis: Diagnosis) -> list[Confusion]:
    tables = []
    for place in [*CHAIN, *(p for p in diagnosis.confusion if p not in CHAIN)]:
        matrix = diagnosis.confusion.get(place)
        if not matrix:
            continue
        columns = [_class(diagnosis, i) for i in range(len(matrix))]
        columns += [UNNAMED] * (len(matrix[0]) - len(matrix))
        rows = [(_class(diagnosis, i), [_share(row, count) for count in row]) for i, row in enumerate(matrix)]
        tables.append(Confusion(place, columns, rows))
    return tables


def recalls(diagnosis: Diagnosis) -> list[tuple[str, list[Cell | None]]]:
    """For each class, the images read rightly at each place: which class is lost where."""
    if not diagnosis.confusion:
        return []
    size = max(len(matrix) for matrix in diagnosis.confusion.values())
    rows = []
    for index in range(size):
        cells: list[Cell | None] = []
        for place in CHAIN:
            matrix = diagnosis.confusion.get(place, [])
            row = matrix[index] if index < len(matrix) else []
            cells.append(_share(row, row[index]) if index < len(row) else None)
        rows.append((_class(diagnosis, index), cells))
    return rows


def class_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str, str, str]]:
    """Class, place, sensitivity and its interval, specificity and its interval, in percent."""
    return [
        (name, place, percent(found.value, 1), interval(found.ci), percent(other.value, 1), interval(other.ci))
        for name in diagnosis.classes
        for place in CHAIN
        if (found := diagnosis.sensitivity.get(place, {}).get(name)) is not None
        and (other := diagnosis.specificity.get(place, {}).get(name)) is not None
    ]


def curve_tables(diagnosis: Diagnosis) -> list[CurveTable]:
    if diagnosis.curves is None:
        return []
    names = {
        "vision": "vision, mean over image tokens",
        "vision_grid": "vision, 4x4 region means",
        "connector": "connector, mean over image tokens",
        "connector_grid": "connector, 4x4 region means",
        "llm_mean": "llm, mean over image tokens",
        "llm_last": "llm, last prompt token",
    }
    return [
        CurveTable(title, getattr(diagnosis.curves, n)) for n, title in names.items() if getattr(diagnosis.curves, n)
    ]


def plain(value: Any) -> str:
    """A value of a free table as text; long lists are counted, not printed."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 4) if abs(value) >= 1e-3 or value == 0 else f"{value:.2g}"
    if isinstance(value, list | tuple):
        if len(value) > MOST_ITEMS:
            return f"{len(value)} values, in report.json"
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def flat(table: dict[str, Any] | None, prefix: str = "", missing: str = MISSING) -> list[tuple[str, str]]:
    """A free table as rows, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    for key, value in (table or {}).items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            rows += flat(value, f"{name}.", missing)
        else:
            rows.append((name, "none" if value == {} else missing if value is None else plain(value)))
    return rows


def exits(diagnosis: Diagnosis) -> list[tuple[str, str, bool]]:
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


def answer_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str]]:
    """Reading of the last link, signal in points, change to the reading before it, interval of the change."""
    answer, signal = diagnosis.answer, diagnosis.signal
    if answer is None or signal is None:
        return []
    rows: list[tuple[str, float, Difference | None]] = [
        ("last layer of the LLM", signal.llm, None),
        ("readable in the likelihoods of the options", answer.readable_in_options, answer.steps.options),
        ("the likeliest option", answer.likeliest, answer.steps.likeliest),
        ("the class said in the text", answer.said, answer.steps.said),
    ]
    return [
        (
            name,
            shown(value),
            "" if change is None else signed(change.change),
            "" if change is None else interval(change.ci),
        )
        for name, value, change in rows
    ]


def answer_facts(diagnosis: Diagnosis) -> list[str]:
    """What the answer rests on, a sentence each."""
    answer = diagnosis.answer
    if answer is None:
        return []
    found = [
        "Calibration: an offset for each option, fitted on other images, changes what the likeliest option reads by "
        f"{signed(answer.calibration.change)} points ({interval(answer.calibration.ci)}): {shown(answer.calibrated)}.",
        f"Control: the likelihoods of as many random tokens read {shown(answer.random_tokens)} points.",
        f"The picture decides {percent(answer.modality_reliance)} of the answer: with an image of another class in its "
        f"place {percent(answer.swapped_image)} of the likeliest options stay the same, with a blank one "
        f"{percent(answer.blank_image)}.",
    ]
    orders = [] if answer.option_order is None else [("With the options in reverse order", answer.option_order)]
    rewordings = [*orders, *(("In other words", paraphrase) for paraphrase in answer.paraphrases)]
    return found + [
        f"{words} (\N{LEFT DOUBLE QUOTATION MARK}{item.prompt}\N{RIGHT DOUBLE QUOTATION MARK}, {item.n_images} images) "
        f"the likeliest option is the same for {percent(item.agreement)}; what is said reads {shown(item.said)} "
        f"points, as asked {shown(item.said_as_asked)}."
        for words, item in rewordings
    ]


def change_rows(diagnosis: Diagnosis) -> list[tuple[str, str, str, str, str, str]]:
    """Place or class, change in points, its interval, the loss accepted, adjusted p, verdict."""
    changes = [] if diagnosis.regression is None else all_changes(diagnosis.regression)
    return [
        (name, points(c.change), interval(c.ci), points(least), f"{c.p_adjusted:.2g}", c.verdict.replace("_", " "))
        for name, c, least in changes
    ]


def limit_rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """What was said of each limited Feature Health Score, and its verdict."""
    drops = diagnosis.regression.health_drops if diagnosis.regression else []
    return [(limit.reason, limit.verdict) for limit in [*diagnosis.health_limits, *drops]]


def chain_text(diagnosis: Diagnosis) -> str:
    """The waterfall for those who do not see it."""
    chain = steps(diagnosis.signal)
    if not chain:
        return ""
    moves = "; ".join(
        f"{s.stage} {'loses' if s.loss >= 0 else 'gains'} {points(abs(s.loss) / 1000)}, "
        f"leaving {points(s.after / 1000)}"
        for s in chain
    )
    return f"The reference reads {points(chain[0].before / 1000)} points; {moves}."


def curve_text(diagnosis: Diagnosis) -> str:
    """The curve for those who do not see it."""
    parts = []
    for table in curve_tables(diagnosis):
        first, last = table.layers[0], table.layers[-1]
        if len(table.layers) == 1:
            parts.append(f"{table.name}: {percent(first.accuracy, 1)}")
        else:
            parts.append(
                f"{table.name}: {percent(first.accuracy, 1)} at layer {first.layer} to {percent(last.accuracy, 1)} "
                f"at layer {last.layer}"
            )
    if diagnosis.accuracy is not None:
        parts.append(f"answer: {percent(diagnosis.accuracy.answer, 1)}")
    if diagnosis.controls is not None:
        low, high = diagnosis.controls.null.accuracy
        parts.append(f"permuted labels: {percent(low, 1)} to {percent(high, 1)}")
        parts.append(f"16 x 16 pixels: {percent(diagnosis.controls.pixels.accuracy, 1)}")
        if diagnosis.controls.file_facts.facts:
            parts.append(f"file facts alone: {percent(diagnosis.controls.file_facts.accuracy, 1)}")
        twin = diagnosis.controls.twin
        parts += [
            f"untrained twin, {name}: {percent(found.twin_accuracy, 1)}"
            for name, found in (("vision", twin.vision), ("connector", twin.connector))
            if found is not None
        ]
    return "Accuracy. " + "; ".join(parts) + "."


def folder_names(report: Report) -> list[str]:
    """One folder a diagnosis, `<model>-<dataset>`, safe on any file system and all different."""
    names: list[str] = []
    taken = {"index.html", "report.json"}
    for diagnosis in report.diagnoses:
        stem = re.sub(r"[^\w.@+-]+", "_", f"{diagnosis.model}-{diagnosis.dataset}").strip("._") or "diagnosis"
        if len(stem.encode()) > 120:
            stem = f"{stem[:30]}-{sha256(stem.encode()).hexdigest()[:12]}"
        name, count = stem, 1
        while name.casefold() in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name.casefold())
        names.append(name)
    return names


def overview(diagnosis: Diagnosis, gate: Gate = "absolute") -> dict[str, Any]:
    """One row of the index."""
    weak = weakest(diagnosis)
    regression = diagnosis.regression
    return {
        "d": diagnosis,
        "word": verdict_word(diagnosis),
        "sentence": verdict_sentence(diagnosis),
        "headline": headline(diagnosis),
        "cause_text": cause_text(diagnosis),
        "gate_sentence": gate_sentence(diagnosis, gate),
        "compared": "" if regression is None else compared_text(regression),
        "compared_word": "" if regression is None else COMPARED[regression.verdict],
        "weakest": span(weak[0]).replace("->", "\N{RIGHTWARDS ARROW}") if weak else MISSING,
        "signal": [
            (p, shown(getattr(diagnosis.signal, p) if diagnosis.signal else None, "*", "\N{EN DASH}"),
             max(0.0, min(1.0, getattr(diagnosis.signal, p)))
             if diagnosis.signal and known(getattr(diagnosis.signal, p)) else None)
            for p in CHAIN
        ],
    }  # fmt: skip


def page(diagnosis: Diagnosis, predictions: Predictions | None, gate: Gate = "absolute") -> dict[str, Any]:
    """Everything a diagnosis page shows, but for the pictures. Without predictions, or with an error, no image
    is listed."""
    lost: list[LostClass] = [] if predictions is None or diagnosis.error else lost_on_the_way(predictions)
    listed = [(item.name, *image) for item in lost for image in item.images]
    return overview(diagnosis, gate) | {
        "links": link_rows(diagnosis),
        "signals": signal_rows(diagnosis),
        "below_chance": any(cell[1].endswith("*") for cell in signal_rows(diagnosis)),
        "next": next_steps(diagnosis),
        "answers": answer_rows(diagnosis),
        "answer_facts": answer_facts(diagnosis),
        "treatments": treatments.rows(diagnosis.treatments),
        "treatment_sentence": treatments.sentence(diagnosis.treatments) if diagnosis.treatments else "",
        "grounding": grounding.rows(diagnosis.grounding),
        "grounding_facts": grounding.facts(diagnosis.grounding),
        "grounding_sentence": grounding.sentence(diagnosis.grounding) if diagnosis.grounding else "",
        "recalls": recalls(diagnosis),
        "by_class": class_rows(diagnosis),
        "confusions": confusions(diagnosis),
        "lost": lost,
        "lost_images": listed[:MOST_ROWS],
        "lost_more": max(0, len(listed) - MOST_ROWS),
        "tables": curve_tables(diagnosis),
        "exits": exits(diagnosis),
        "settings": flat(diagnosis.settings, missing=NOT_GIVEN),
        "changes": change_rows(diagnosis),
        "limits": limit_rows(diagnosis),
        "controls": sentences(diagnosis.controls),
        "minimum_loss": minimum_loss_sentence(diagnosis),
        "cause": cause_rows(diagnosis),
        "cause_sentence": cause_sentence(diagnosis),
        "cause_facts": cause_facts(diagnosis),
        "keys": inputs.key_rows(diagnosis.cause.keys) if diagnosis.cause else [],
        "pixels": inputs.reach_sentence(diagnosis.pixels) if diagnosis.pixels else "",
        "published": inputs.key_rows(diagnosis.pixels.differs) if diagnosis.pixels else [],
        "published_sentence": inputs.differs_sentence(diagnosis.pixels) if diagnosis.pixels else "",
        "alternatives": inputs.alternative_rows(diagnosis),
        "alternatives_sentence": inputs.sentence(diagnosis.counterfactuals) if diagnosis.counterfactuals else "",
        "alternatives_note": inputs.note(diagnosis.counterfactuals) if diagnosis.counterfactuals else "",
        "reference_sentence": reference_sentence(diagnosis),
        "timing": [(name, f"{number(seconds, 1)} s") for name, seconds in diagnosis.timing.items()],
        "excluded": diagnosis.excluded[:MOST_ROWS],
        "excluded_more": max(0, len(diagnosis.excluded) - MOST_ROWS),
        "excluded_unlisted": max(0, diagnosis.n_excluded - len(diagnosis.excluded)),
        "places": CHAIN,
    }
