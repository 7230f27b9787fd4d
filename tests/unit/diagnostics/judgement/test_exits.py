import numpy as np
import pytest

from medprobe.diagnostics.judgement import exits
from medprobe.diagnostics.judgement.exits import Candidate, Choice, choose, own_loci, untrained
from medprobe.diagnostics.probes.reading import Reading

FOLDS = np.array([0, 0, 1, 1, 2, 2])


def test_the_inner_accuracy_chooses_fold_by_fold() -> None:
    a = Candidate("a", np.zeros(6, dtype=np.int64), np.array([0.9, 0.2, 0.5]))
    b = Candidate("b", np.ones(6, dtype=np.int64), np.array([0.8, 0.7, 0.5]))
    choice = choose([a, b], FOLDS)
    assert choice.predictions.tolist() == [0, 0, 1, 1, 0, 0]
    assert choice.loci == {"a": 2, "b": 1}
    assert choice.locus == "a"


def test_the_first_of_those_that_differ_by_rounding_is_chosen() -> None:
    """0.1 + 0.2 and 0.3 are one accuracy, added in two orders."""
    a = Candidate("a", np.zeros(6, dtype=np.int64), np.array([0.3, 0.1 + 0.2, 0.3]))
    b = Candidate("b", np.ones(6, dtype=np.int64), np.array([0.1 + 0.2, 0.3, 0.3 + 1e-6]))
    assert choose([a, b], FOLDS).loci == {"a": 2, "b": 1}


def test_held_out_predictions_have_no_say() -> None:
    """The candidate that is right everywhere out of fold is not taken when it was read worse inside."""
    labels = np.array([0, 1, 0, 1, 0, 1])
    right = Candidate("right", labels, np.full(3, 0.5))
    wrong = Candidate("wrong", 1 - labels, np.full(3, 0.6))
    assert choose([right, wrong], FOLDS).predictions.tolist() == (1 - labels).tolist()


def test_many_noisy_candidates_stay_at_chance() -> None:
    rng = np.random.default_rng(0)
    labels, folds = np.arange(400) % 2, np.arange(400) // 2 % 5
    accuracies = []
    for _ in range(10):
        candidates = [Candidate(str(i), rng.integers(0, 2, 400), rng.uniform(0.4, 0.6, 5)) for i in range(80)]
        accuracies.append(np.mean(choose(candidates, folds).predictions == labels))
    assert abs(np.mean(accuracies) - 0.5) < 0.03


def test_an_untrained_candidate_is_scored_on_each_training_part() -> None:
    labels, said = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 1, 0, -1, 1, 1])
    candidate = untrained("answer.said", labels, said, FOLDS, 2)
    np.testing.assert_allclose(candidate.inner_accuracy, [0.5, 0.75, 0.75])
    assert candidate.predictions is said


def reading(right: float, inner: float) -> Reading:
    """12 images of 2 classes in 2 folds, of which the share `right` is read rightly, and inner accuracies alike."""
    hits = np.arange(12) < round(12 * right)
    read = np.where(hits, LABELS, 1 - LABELS)
    return Reading(np.log(np.where(np.eye(2)[read] > 0, 0.9, 0.1)), np.full(2, inner))


LABELS = np.arange(12) % 2
TWO_FOLDS = np.arange(12) // 6
PLACES = (
    *("reference", "vision.0.mean", "vision.1.mean", "vision.1.grid", "vision.1.attention"),
    *("connector.0.mean", "connector.0.grid", "llm.0.mean", "llm.0.last", "llm.1.mean", "llm.1.last"),
    "answer.0.options",
)


def of_chain(**inner: float) -> dict[str, Choice]:
    """The choices where all was read at 0.6 inside the training parts but for `inner`, dots as underscores."""
    readings = {name: reading(0.75, inner.get(name.replace(".", "_"), 0.6)) for name in PLACES}
    answer = Candidate("answer.said", LABELS, np.full(2, inner.get("answer_said", 0.6)))
    return exits.of_chain(readings, answer, TWO_FOLDS)


def test_an_exit_is_read_at_its_own_loci() -> None:
    assert own_loci(reversed(PLACES[1:-1])) == {
        "vision": ["vision.1.mean", "vision.1.grid", "vision.1.attention"],
        "connector": ["connector.0.mean", "connector.0.grid"],
        "llm": ["llm.1.last"],
    }


def test_where_all_is_read_alike_each_place_speaks_for_itself() -> None:
    assert {place: choice.locus for place, choice in of_chain().items()} == {
        "reference": "reference",
        "vision": "vision.1.mean",
        "connector": "connector.0.mean",
        "llm": "llm.1.last",
        "answer": "answer.said",
    }


@pytest.mark.parametrize(
    ("locus", "speaks_for"),
    [
        ("vision.0.mean", []),
        ("vision.1.grid", ["reference", "vision"]),
        ("connector.0.grid", ["reference", "vision", "connector"]),
        ("llm.0.last", ["reference", "vision", "connector"]),
        ("llm.1.mean", ["reference", "vision", "connector"]),
        ("llm.1.last", ["reference", "vision", "connector", "llm"]),
        ("answer.0.options", ["reference", "vision", "connector", "llm"]),
        ("answer.said", ["reference", "vision", "connector", "llm", "answer"]),
    ],
)
def test_a_later_locus_that_reads_more_speaks_for_every_place_before_it(locus: str, speaks_for: list[str]) -> None:
    chosen = of_chain(**{locus.replace(".", "_"): 0.9})
    assert [place for place, choice in chosen.items() if choice.loci == {locus: 2}] == speaks_for


def test_a_choice_brings_the_predictions_of_its_locus() -> None:
    chosen = of_chain(answer_0_options=0.9)
    assert chosen["llm"].predictions.tolist() == reading(0.75, 0).predictions.tolist()
    assert chosen["answer"].predictions.tolist() == LABELS.tolist()


def test_one_candidate_is_enough() -> None:
    assert choose([Candidate("a", LABELS, np.zeros(2))], TWO_FOLDS).loci == {"a": 2}
    assert untrained("a", LABELS, LABELS, TWO_FOLDS, 2).locus == "a"
