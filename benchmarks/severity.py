"""How much of the signal each planted fault removes, read by stronger readers than a diagnosis has, on fresh images.

    python -m benchmarks.severity [--base phantom] [--images 600] [--only connector.noise@0.5 ...]

Writes benchmarks/results/severity.json and docs/studies/severity.md after every fault; what the file holds is not
measured again. Another base or number of images needs a file of its own, `--out FILE`.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study import Study

SEED = 2_000_003
"""Of the images: neither of training (TRAINING_SEED and a little more) nor of a diagnosis (a little more than 0)."""
PLACES = ("vision", "connector", "llm", "answer")
KNOBS = (1.0, 0.75, 0.5, 0.25)
N_RESAMPLES = 2000
ROUNDING = 1e-6
"""A feature that varies less, relative to its size, varies by the order of summation only."""

PAGE = """\
# What each planted fault removes

Measured on `{base}` with {n_images} phantom images, each of a patient of its own, that are neither trained on nor
diagnosed, by

    python -m benchmarks.severity

which goes on where it stopped; {measured} of {n_faults} faults are measured.

*Readable* is the signal, in points, that the best of three nonlinear readers (support vectors with a radial kernel, a
perceptron, boosted trees), taught on one half of the images, finds in the other half at the struck stage's exit or at
any later one; *at* says where, chosen on images of the first half. *Severity* is the share of what is so found in the
healthy model that is gone, with its 95 percent interval (resampled images of the second half). *Answered* is the signal
of the likeliest option, {answered:.1f} in the healthy model. Where severity is low and few answers are right, the
signal is there and is not understood. What faults of the input cost, which edit no weight:
[happening.md](happening.md).

| fault | kind | readable | at | severity | 95% | answered |
|---|---|---|---|---|---|---|
{lines}
"""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def features(spec: Any, lesson: Any) -> dict[str, Floats]:
    """Exits of each stage, [n_images, width]: means and grids, the last token, the options' log-likelihoods.

    The log-likelihoods are relative to their mean, since what is common to the options cannot choose among them.
    """
    from medprobe.diagnostics.extraction.batches import Limit, read_all
    from medprobe.diagnostics.extraction.extractor import Extractor
    from medprobe.fixtures.models.loading import load
    from medprobe.fixtures.phantoms.faults import plant

    loaded = load(replace(spec, fault=None))
    if spec.fault:
        plant(loaded, spec.fault)
    with Extractor(loaded, lesson.prompt, lesson.answers, max_new_tokens=1).hooked() as extractor:
        batches = list(read_all(extractor.prepare, extractor.read, lesson.images, Limit(64)))
    known = batches[0].features
    last = {stage: max(int(n.split(".")[1]) for n in known if n.startswith(stage)) for stage in PLACES[:3]}
    readouts = {"vision": ("mean", "grid"), "connector": ("mean", "grid"), "llm": ("last",)}
    found = {
        stage: np.concatenate(
            [np.concatenate([b.features[f"{stage}.{last[stage]}.{r}"] for b in batches]) for r in readouts[stage]], 1
        ).astype(np.float64)
        for stage in readouts
    }
    options = np.concatenate([b.option_log_likelihoods for b in batches]).astype(np.float64)
    return {**found, "answer": options - options.mean(1, keepdims=True)}


def read(x: Floats, labels: Ints, train: Ints, test: Ints, seed: int = 0) -> tuple[float, Ints]:
    """The best of three nonlinear readers, chosen on a third of `train` and then taught all of it.

    Returns its balanced accuracy on that third, and what it says of `test`, [n_test].
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    varies = x.std(0) > ROUNDING * np.abs(x).max()
    if not varies.any():
        return 1 / len(np.unique(labels)), np.zeros(len(test), dtype=np.int64)
    x = x[:, varies]
    taught, held = train[len(train) // 3 :], train[: len(train) // 3]
    width = min(64, x.shape[1])
    readers: tuple[Callable[[], Any], ...] = (
        lambda: make_pipeline(StandardScaler(), SVC(C=10.0)),
        lambda: make_pipeline(StandardScaler(), MLPClassifier((64,), alpha=0.1, max_iter=60, random_state=seed)),
        lambda: make_pipeline(
            PCA(width, random_state=seed), HistGradientBoostingClassifier(max_iter=40, random_state=seed)
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = [
            balanced_accuracy_score(labels[held], make().fit(x[taught], labels[taught]).predict(x[held]))
            for make in readers
        ]
        best = int(np.argmax(scores))
        return float(scores[best]), readers[best]().fit(x[train], labels[train]).predict(x[test])


def best_from(stage: str, found: dict[str, Floats], labels: Ints, train: Ints, test: Ints) -> tuple[str, Ints]:
    """The place at `stage` or later that is read best on validation images, and what is read there of `test`."""
    readings = {place: read(found[place], labels, train, test) for place in PLACES[PLACES.index(stage) :]}
    place = max(readings, key=lambda place: readings[place][0])
    return place, readings[place][1]


def signals(correct: Floats, labels: Ints, draws: Sequence[Ints]) -> Floats:
    """Chance-corrected balanced accuracy on the images, then on each draw of them; [1 + n_draws]."""
    classes = np.unique(labels)
    rows = [np.arange(len(labels)), *draws]
    recalls = np.array([[correct[row[labels[row] == k]].mean() for k in classes] for row in rows])
    chance = 1 / len(classes)
    return np.asarray((recalls.mean(1) - chance) / (1 - chance))


class Measured:
    """One base checkpoint on one set of fresh images, the first half to teach readers, the second to test them."""

    def __init__(self, base: str, n_images: int) -> None:
        from medprobe.fixtures.models.registry import resolve
        from medprobe.fixtures.phantoms.train import phantom_lesson

        self._spec = resolve(base)
        self._lesson = phantom_lesson(SEED, n_images, images_per_patient=1)
        self._labels = self._lesson.labels
        self._train, self._test = np.arange(n_images // 2), np.arange(n_images // 2, n_images)
        rng, tested = np.random.default_rng(0), self._labels[self._test]
        members = [np.flatnonzero(tested == k) for k in np.unique(tested)]
        self._draws = [np.concatenate([rng.choice(m, len(m)) for m in members]) for _ in range(N_RESAMPLES)]
        self._healthy = features(self._spec, self._lesson)
        self._read: dict[str, Floats] = {}

    def healthy(self, stage: str) -> Floats:
        """What is read of the healthy model at `stage` or later: signal on the images and on each draw."""
        if stage not in self._read:
            _, said = best_from(stage, self._healthy, self._labels, self._train, self._test)
            self._read[stage] = self._signals(said)
        return self._read[stage]

    def measure(self, fault: str) -> dict[str, Any]:
        """A row of the table. Raises FaultError."""
        from medprobe.fixtures.phantoms.faults import find

        mechanism, asked = find(fault)
        found = features(replace(self._spec, fault=fault), self._lesson)
        # Of a look-alike, whatever is there to be understood counts: all of it, from the tower on.
        stage = mechanism.stage if mechanism.stage in PLACES else "vision"
        place, said = best_from(stage, found, self._labels, self._train, self._test)
        before, after = self.healthy(stage), self._signals(said)
        lost = 1 - after / before
        answers = [self._signals(x["answer"][self._test].argmax(1))[0] for x in (self._healthy, found)]
        return {
            "fault": str(asked),
            "kind": mechanism.kind,
            "readable": [round(float(before[0]), 3), round(float(after[0]), 3)],
            "at": place,
            "severity": round(float(lost[0]), 3),
            "ci": [round(float(b), 3) for b in np.quantile(lost[1:], (0.025, 0.975))],
            "answered": [round(float(a), 3) for a in answers],
        }

    def _signals(self, said: Ints) -> Floats:
        tested = self._labels[self._test]
        return signals((said == tested).astype(np.float64), tested, self._draws)


def faults() -> list[str]:
    """Every mechanism that edits weights whole, then what has a knob at the smaller ones.

    The input's destroy nothing that a model could not be given back; `benchmarks/happening.py` says what they cost.
    """
    from medprobe.fixtures.phantoms.faults import MECHANISMS
    from medprobe.fixtures.phantoms.faults.input import LOOK_ALIKES

    return [
        name if knob == 1 else f"{name}@{knob}"
        for knob in KNOBS
        for name, mechanism in MECHANISMS.items()
        if mechanism.stage != "input" and mechanism not in LOOK_ALIKES and (knob == 1 or mechanism.graded)
    ]


def page(facts: dict[str, Any]) -> str:
    """The page of the rows."""
    order = {fault: i for i, fault in enumerate(faults()) if "@" not in fault}

    def place(row: dict[str, Any]) -> tuple[int, str]:
        name, _, how = row["fault"].partition("@")
        return order[name], how or "1"

    rows = sorted(facts["rows"], key=place)
    lines = [
        f"| {row['fault']} | {row['kind']} | {100 * row['readable'][1]:.1f} | {row['at']} | {row['severity']:.2f} | "
        f"{row['ci'][0]:.2f} to {row['ci'][1]:.2f} | {100 * row['answered'][1]:.1f} |"
        for row in rows
    ]
    answered = 100 * facts["rows"][0]["answered"][0]
    return PAGE.format(**facts, answered=answered, measured=len(lines), n_faults=len(faults()), lines="\n".join(lines))


STUDY = Study("severity", page)


def main() -> None:
    from medprobe.fixtures.phantoms.faults import FaultError, find

    parser = STUDY.parser(__doc__, "--out")
    parser.add_argument("--base", default="phantom", help="a model trained on phantom images (default: %(default)s)")
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--only", action="append", help="a fault; repeatable; default: all, at four knobs")
    given = parser.parse_args()
    kept = given.out or STUDY.results
    facts: dict[str, Any] = {"base": given.base, "n_images": given.images, "rows": []}
    if kept.exists():
        known = json.loads(kept.read_text("utf-8"))
        if {**known, "rows": []} != facts:
            parser.error(f"{kept} holds another base or number of images; name another file with --out")
        facts = known
    done = {row["fault"] for row in facts["rows"]}
    study: Measured | None = None
    for fault in (str(find(fault)[1]) for fault in given.only or faults()):
        if fault in done:
            continue
        study = study or Measured(given.base, given.images)
        started = time.perf_counter()
        try:
            facts["rows"].append(study.measure(fault))
        except FaultError as error:
            print(f"{fault}: not planted, {error}", file=sys.stderr)
            continue
        print(json.dumps(facts["rows"][-1]), f"{time.perf_counter() - started:.1f} s", flush=True)
        STUDY.publish(facts, given.out)


if __name__ == "__main__":
    main()
