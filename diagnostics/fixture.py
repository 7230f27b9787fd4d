"""The pytest fixtures of what is measured of a model on a data set. Rows are images, the same ones in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from medprobe.diagnostics.records.report import Predictions

if TYPE_CHECKING:
    from medprobe.diagnostics.subject import Answers, FeaturesByLocus, Subject


@pytest.fixture(scope="session")
def features(medprobe_subject: Subject) -> FeaturesByLocus:
    """Features by locus: `features["llm.17.last"]` is an array [n_images, width].

    `features.images`, `.labels` and `.groups` describe the rows. Arrays are read from the store one at a time.
    """
    return medprobe_subject.features


@pytest.fixture(scope="session")
def answers(medprobe_subject: Subject) -> Answers:
    """What the model answered: `texts`, the class they name (`said`), the `likeliest` option, log-likelihoods of the
    `options`, and the true `labels`; [n_images] each.
    """
    return medprobe_subject.answers


@pytest.fixture(scope="session")
def predictions(medprobe_subject: Subject) -> Predictions:
    """The class read of each image, out of fold: `places` of the chain and `loci`, beside `labels` and `groups`."""
    from medprobe.diagnostics.diagnosis import predictions_of

    return predictions_of(medprobe_subject)
