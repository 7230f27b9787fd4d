"""Chains whose content is known."""

from __future__ import annotations

import pytest

from benchmarks.n_loci import N_LOCI, chain_of, one


@pytest.mark.parametrize("n_loci", N_LOCI)
def test_a_chain_has_as_many_loci_as_asked(n_loci):
    assert len(set(chain_of(n_loci))) == n_loci


def test_equal_loci_pass_and_a_lossy_connector_is_named():
    assert one(6, False, 1)["inside"]["verdict"] != "fail"
    assert one(6, True, 1)["inside"]["primary"] == "connector_fidelity_loss"
