"""The options' likelihoods when the question is asked without a picture."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.extraction.options import options_of, prefill, score_options
from medprobe.fixtures.models.chat import words


@torch.inference_mode()
def score_unseen(evidence: Evidence) -> NDArray[np.float32]:
    """Log-likelihood of each answer, [1, n_options]."""
    loaded, dataset = evidence.model.load(), evidence.dataset
    batch = words(loaded, dataset.prompt).to(loaded.device)
    options = options_of(loaded, dataset.prompt, dataset.answers)
    return score_options(loaded.model, options, batch, *prefill(loaded.model, batch))
