"""What hiding the lesion changed, in words: a shortcut is called one, and what was not tried is said."""

from __future__ import annotations

from medprobe.diagnostics.records.grounding import Grounding
from medprobe.plugins.report.sections import grounding
from tests.unit.plugins.report.samples import hidden


def test_a_shortcut_is_said_with_its_numbers() -> None:
    assert grounding.sentence(hidden()) == (
        "with the lesion hidden the answer keeps 61.0 of 93.0 points, with an equal area elsewhere hidden 92.0: it "
        "does without the lesion"
    )


def test_no_judgement_without_signal_and_no_number_without_masks() -> None:
    silent = hidden().model_copy(update={"shortcut": None, "depends_on_lesion": None})
    assert grounding.sentence(silent).startswith("the answer has no signal")
    bare = Grounding(reason="no image has a lesion mask beside it")
    assert grounding.sentence(bare) == "no lesion was hidden: no image has a lesion mask beside it"
    assert grounding.rows(bare) == grounding.rows(None) == []


def test_examples_are_counted_and_what_was_not_tried_is_said() -> None:
    facts = " ".join(grounding.facts(hidden()))
    assert "82 of 118 answered rightly stay so" in facts
    assert "no lattice over the picture" in facts
    assert "6 images are left out" in facts
