"""The options of a prompt in reverse order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medprobe.diagnostics.last_link.rewording import reversed_options

ANSWERS = ("normal", "benign", "malignant")


@pytest.mark.parametrize(
    ("prompt", "other"),
    [
        ("Answer normal, benign or malignant.", "Answer malignant, benign or normal."),
        ("Benign, normal or MALIGNANT?", "MALIGNANT, normal or Benign?"),
        ("Is it normal?", None),
        ("normal or benign or malignant or normal", None),
        ("abnormal, benign or malignant", None),
    ],
)
def test_options_are_reversed_where_each_is_named_once(prompt, other):
    assert reversed_options(prompt, ANSWERS) == other


def test_an_answer_inside_another_is_not_reversed():
    assert reversed_options("Answer pneumonia or no pneumonia.", ("pneumonia", "no pneumonia")) is None


@given(st.permutations(ANSWERS), st.text("xyz ,.\n", max_size=9), st.text("xyz ,.\n", max_size=9))
def test_twice_reversed_is_as_it_was(order, before, between):
    prompt = f"{before} {order[0]} {between} {order[1]}, {order[2]} {before}"
    once = reversed_options(prompt, ANSWERS)
    assert once is not None
    assert reversed_options(once, ANSWERS) == prompt
