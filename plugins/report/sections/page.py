"""What the templates show of a diagnosis, worked out beforehand so that they only lay it out."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from medprobe.diagnostics.baselines.outcome import COMPARED, gate_sentence
from medprobe.diagnostics.baselines.sentences import compared_text
from medprobe.diagnostics.judgement.headline import cause_text, headline
from medprobe.diagnostics.records.chain import CHAIN
from medprobe.diagnostics.records.regression import Gate
from medprobe.diagnostics.records.report import Diagnosis, Predictions, Report
from medprobe.plugins.report.pictures.in_words import curve_tables
from medprobe.plugins.report.sections import grounding, inputs, subgroups, treatments
from medprobe.plugins.report.sections.advice import next_steps
from medprobe.plugins.report.sections.answer import answer_facts, answer_rows
from medprobe.plugins.report.sections.cause import cause_facts, cause_rows
from medprobe.plugins.report.sections.classes import class_rows, confusions, recalls
from medprobe.plugins.report.sections.controls import minimum_loss_sentence, sentences
from medprobe.plugins.report.sections.links import exits, link_rows, signal_rows
from medprobe.plugins.report.sections.lost_images import LostClass, lost_on_the_way
from medprobe.plugins.report.sections.regression import auroc_sentence, change_rows, limit_rows
from medprobe.plugins.report.sections.scores import rank_rows, score_facts, score_rows
from medprobe.plugins.report.sections.sentences import (
    cause_sentence,
    reference_sentence,
    span,
    verdict_sentence,
    verdict_word,
    weakest,
)
from medprobe.plugins.report.text import MISSING, NOT_GIVEN, flat, known, number, shown

MOST_ROWS = 200


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
        "ranks": rank_rows(diagnosis),
        "scores": score_rows(diagnosis),
        "score_facts": score_facts(diagnosis),
        "strata": subgroups.stratum_rows(diagnosis.attributes),
        "attributes": subgroups.attribute_rows(diagnosis.attributes),
        "strata_sentence": subgroups.sentence(diagnosis.attributes) if diagnosis.attributes else "",
        "confusions": confusions(diagnosis),
        "lost": lost,
        "lost_images": listed[:MOST_ROWS],
        "lost_more": max(0, len(listed) - MOST_ROWS),
        "tables": curve_tables(diagnosis),
        "exits": exits(diagnosis),
        "settings": flat(diagnosis.settings, missing=NOT_GIVEN),
        "changes": change_rows(diagnosis),
        "auroc_sentence": auroc_sentence(diagnosis),
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
