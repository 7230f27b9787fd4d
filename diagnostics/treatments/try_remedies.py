"""Every remedy tried on the same images, judged against the answer as it was said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medprobe.diagnostics import store
from medprobe.diagnostics.arrays import Features, Floats, Ints
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.measurement import OPTIONS
from medprobe.diagnostics.further_questions import ask, blanks_at, images_at
from medprobe.diagnostics.judgement.resamples import ALPHA, Resamples, interval
from medprobe.diagnostics.last_link.calibration import calibrated
from medprobe.diagnostics.last_link.rewording import reversed_options
from medprobe.diagnostics.probes.loci import OPTIONS_LOCUS
from medprobe.diagnostics.records.answer import RemedyName, Treatment, Treatments
from medprobe.diagnostics.records.chain import Difference
from medprobe.diagnostics.treatments import remedies
from medprobe.fixtures.datasets.image_file import ImageFile
from medprobe.fixtures.datasets.lesions.alterations import Noised


@dataclass(frozen=True)
class Tried:
    """One remedy: the classes it answers at the rows tried, or why it could not be tried.

    passes: forward passes an image beside the model's own. labelled: whether it learns from labelled images.
    """

    name: RemedyName
    predictions: Ints | None
    passes: float = 0
    labelled: bool = False
    reason: str | None = None


def treat(evidence: Evidence) -> Treatments:
    """What each remedy gives back of the signal that the answer lost, on the images of `evidence.sample()`.

    A remedy helps where, with all remedies counted (Bonferroni), both its signal and what it adds are above 0. An
    answer below chance counts as chance: to guess again is no recovery.
    """
    rows = evidence.sample()
    labels, groups = evidence.labels[rows], evidence.groups[rows]
    resamples = Resamples(labels, groups, evidence.n_classes, evidence.settings.seed)
    said = max(evidence.signal(evidence.said[rows], rows), 0.0)
    said_drawn = np.maximum(resamples.signal(evidence.said[rows]), 0.0)
    tried = list(_try_all(evidence, rows))
    level = ALPHA / sum(remedy.predictions is not None for remedy in tried) / 2

    def judged(remedy: Tried) -> Treatment:
        untried = Treatment(name=remedy.name, passes=remedy.passes, labelled=remedy.labelled, reason=remedy.reason)
        if remedy.predictions is None:
            return untried
        point, drawn = evidence.signal(remedy.predictions, rows), resamples.signal(remedy.predictions)
        gained = drawn - said_drawn
        return untried.model_copy(
            update={
                "signal": point,
                "change": Difference(change=point - said, ci=interval(gained)),
                "helps": bool(min(np.quantile(drawn, level), np.quantile(gained, level)) > 0),
            }
        )

    reference = evidence.signal(evidence.predictions["reference"][rows], rows)
    return Treatments(n_images=len(rows), said=said, lost=reference - said, trials=[judged(remedy) for remedy in tried])


def _try_all(evidence: Evidence, rows: Ints) -> Iterator[Tried]:
    options = evidence.measured.array(OPTIONS).astype(np.float64)
    own, images = options[rows], images_at(evidence, rows)

    def scores(asked: list[ImageFile], prompt: str | None = None) -> Floats:
        return ask(evidence, asked, prompt).array(OPTIONS).astype(np.float64)

    fitted = calibrated(options.astype(np.float32), evidence.labels, evidence.folds)
    yield Tried("calibration", fitted[rows], labelled=True)
    yield Tried("batch_prior", _answer(remedies.without_batch_prior(options, evidence.folds)[rows]))
    blanks = scores(blanks_at(evidence, rows))
    yield Tried("blank_prior", _answer(remedies.without_prior(own, blanks)))
    yield Tried("blank_contrast", _answer(remedies.contrasted(own, blanks)))
    noised = scores([image.altered(Noised()) for image in images])
    yield Tried("noise_contrast", _answer(remedies.contrasted(own, noised)), passes=1)
    yield _guided(evidence, own)
    order = reversed_options(evidence.dataset.prompt, evidence.dataset.answers)
    if order is None:
        yield Tried("option_order", None, passes=1, reason="the prompt does not name each option once")
    else:
        yield Tried("option_order", _answer(remedies.averaged([own, scores(images, order)])), passes=1)
    paraphrases = evidence.dataset.paraphrases
    if paraphrases:
        asked = [own, *(scores(images, prompt) for prompt in paraphrases)]
        yield Tried("prompts", _answer(remedies.averaged(asked)), passes=len(paraphrases))
    else:
        yield Tried("prompts", None, reason="the manifest has no paraphrases")
    yield Tried("options_probe", evidence.readings[OPTIONS_LOCUS].predictions[rows], labelled=True)
    yield Tried("llm_probe", evidence.predictions["llm"][rows], labelled=True)
    yield Tried("connector_probe", evidence.predictions["connector"][rows], labelled=True)


def _guided(evidence: Evidence, own: Floats) -> Tried:
    def compute() -> dict[str, Features]:
        from medprobe.diagnostics.treatments.unseen import score_unseen

        return {"scores": score_unseen(evidence)}

    name = store.key(asked="without a picture", features=evidence.measured.key)
    try:
        unseen = store.remembered(evidence.settings.store, name, compute)["scores"]
    except store.StoreError:
        raise
    except Exception as error:  # foreign models raise anything where a picture is missing
        return Tried("image_guidance", None, reason=f"it cannot be asked without a picture ({type(error).__name__})")
    return Tried("image_guidance", _answer(remedies.guided(own, np.repeat(unseen, len(own), axis=0))))


def _answer(scores: Floats) -> Ints:
    return np.asarray(scores.argmax(axis=1), dtype=np.int64)
