"""Option scores put right: a remedy takes log-likelihoods [n_images, K] and gives others, whose largest is the answer.

None fits anything to a label. Their constants are those of the papers they come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medprobe.diagnostics.arrays import Floats, Ints

CONTRAST, PLAUSIBLE = 1.0, 0.1
"""alpha and beta of visual contrastive decoding (Leng et al. 2023, arXiv 2311.16922)."""
GUIDANCE = 1.5
"""gamma of classifier-free guidance in language models (Sanchez et al. 2023, arXiv 2306.17806)."""


def normalised(scores: NDArray[np.floating]) -> Floats:
    """Log-probabilities within the options, [n_images, K]."""
    scores = np.asarray(scores, dtype=np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def without_prior(scores: Floats, contentless: Floats) -> Floats:
    """log p(option | image) - log p(option | no content): contextual calibration (Zhao et al. 2021, arXiv 2102.09690)
    with a blank picture for the input without content.
    """
    return normalised(scores) - normalised(contentless)


def without_batch_prior(scores: Floats, folds: Ints) -> Floats:
    """log p(option | image) - log of its mean over the images of the other folds: batch calibration (Zhou et al. 2023,
    arXiv 2309.17249), without the image's own patient in the mean.
    """
    own = normalised(scores)
    prior = np.empty_like(own)
    for fold in range(int(folds.max()) + 1):
        prior[folds == fold] = np.log(np.exp(own[folds != fold]).mean(axis=0) + 1e-300)
    return own - prior


def contrasted(scores: Floats, distorted: Floats) -> Floats:
    """(1 + alpha) log p(option | image) - alpha log p(option | distorted image), among the options that are at least
    beta times as likely as the likeliest (Leng et al. 2023).
    """
    own = normalised(scores)
    out = (1 + CONTRAST) * own - CONTRAST * normalised(distorted)
    return np.where(own < own.max(axis=1, keepdims=True) + np.log(PLAUSIBLE), -np.inf, out)


def guided(scores: Floats, unseen: Floats) -> Floats:
    """log p(option | no image) + gamma (log p(option | image) - log p(option | no image)).

    The guidance of MARINE (Zhao et al. 2024, arXiv 2402.08680) without its detectors: theirs moves from the image alone
    to the image with what detectors found, this from no image to the image.
    """
    base = normalised(unseen)
    return base + GUIDANCE * (normalised(scores) - base)


def averaged(askings: Sequence[Floats]) -> Floats:
    """Log of the mean probability over several ways of asking."""
    return np.asarray(np.log(np.mean([np.exp(normalised(scores)) for scores in askings], axis=0) + 1e-300))
