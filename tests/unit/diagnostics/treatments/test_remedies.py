"""The formulas of the remedies."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medprobe.diagnostics.treatments import remedies

SCORES = arrays(np.float64, (6, 3), elements=st.floats(-30, 0))


@given(SCORES)
def test_probabilities_add_up_to_one_whatever_the_common_level(scores):
    np.testing.assert_allclose(np.exp(remedies.normalised(scores)).sum(axis=1), 1)
    level = np.arange(6)[:, None] - 40.0
    np.testing.assert_allclose(remedies.normalised(scores + level), remedies.normalised(scores), atol=1e-9)


@given(SCORES, SCORES)
def test_a_prior_taken_off_leaves_what_the_picture_adds(scores, blank):
    np.testing.assert_allclose(remedies.without_prior(scores, scores), 0, atol=1e-9)
    biased = np.array([[0.0, 5.0, -3.0]])
    np.testing.assert_allclose(
        np.diff(remedies.without_prior(scores + biased, blank + biased)),
        np.diff(remedies.without_prior(scores, blank)),
        atol=1e-9,
    )


def test_the_batch_prior_is_that_of_other_folds():
    rng = np.random.default_rng(0)
    scores, folds = rng.normal(size=(40, 3)), np.arange(40) % 4
    before = remedies.without_batch_prior(scores, folds)
    moved = scores.copy()
    moved[0] += [9.0, 0.0, 0.0]
    after = remedies.without_batch_prior(moved, folds)
    same_fold = (folds == 0) & (np.arange(40) > 0)
    np.testing.assert_allclose(before[same_fold], after[same_fold], atol=1e-12)
    assert np.abs(before[folds != 0] - after[folds != 0]).max() > 1e-3
    bias = np.array([[0.0, 20.0, 0.0]])
    assert (remedies.without_batch_prior(scores + bias, folds).argmax(1) != 1).mean() > 0.3


@given(SCORES)
def test_contrast_and_guidance_leave_what_they_cannot_tell_apart(scores):
    for remedy in (remedies.contrasted, remedies.guided):
        out = remedy(scores, scores)
        best = np.take_along_axis(scores, out.argmax(axis=1)[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(best, scores.max(axis=1), atol=1e-6)


def test_contrast_prefers_what_the_picture_made_likelier_among_the_plausible():
    scores = np.log([[0.5, 0.46, 0.04]])
    distorted = np.log([[0.9, 0.0999, 0.0001]])
    assert remedies.contrasted(scores, distorted).argmax() == 1
    only_implausible = np.log([[0.5, 0.5, 1e-9]])
    assert remedies.contrasted(np.log([[0.6, 0.37, 0.03]]), only_implausible).argmax() != 2
    assert remedies.guided(np.log([[0.5, 0.5]]), np.log([[0.7, 0.3]])).argmax() == 1


@given(SCORES, SCORES)
def test_the_mean_over_askings_is_one_of_probabilities(a, b):
    both = np.exp(remedies.averaged([a, b]))
    np.testing.assert_allclose(both.sum(axis=1), 1)
    np.testing.assert_allclose(remedies.averaged([a]), np.maximum(remedies.normalised(a), np.log(1e-300)), atol=1e-6)
