import numpy as np

from diagnostics.exits import Candidate, choose, untrained

FOLDS = np.array([0, 0, 1, 1, 2, 2])


def test_the_inner_accuracy_chooses_fold_by_fold() -> None:
    a = Candidate("a", np.zeros(6, dtype=np.int64), np.array([0.9, 0.2, 0.5]))
    b = Candidate("b", np.ones(6, dtype=np.int64), np.array([0.8, 0.7, 0.5]))
    choice = choose([a, b], FOLDS)
    assert choice.predictions.tolist() == [0, 0, 1, 1, 0, 0]
    assert choice.loci == {"a": 2, "b": 1}
    assert choice.locus == "a"


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
