"""Reports made by hand, with every shape a page must show.

python -m tests.unit.plugins.report.samples DIR    # writes their pages
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from medprobe.diagnostics.baselines.outcome import gate_verdicts
from medprobe.diagnostics.records.answer import AnswerReading, RemedyName, Rewording, Steps, Treatment, Treatments
from medprobe.diagnostics.records.cause import (
    Alternative,
    Cause,
    Counterfactuals,
    Hybrid,
    Key,
    Modules,
    Pixels,
    Prefix,
    Shipped,
    Swap,
)
from medprobe.diagnostics.records.chain import (
    FAILURE_MODES,
    PLACES,
    STAGES,
    Accuracy,
    Chain,
    Curves,
    Difference,
    Exit,
    FailureModes,
    Health,
    HealthLimit,
    Layer,
    Link,
    Place,
    Reference,
    Share,
    Stage,
    VerdictValue,
    worst,
)
from medprobe.diagnostics.records.controls import Controls, ControlTask, FileFacts, Floor, Null, Twin, TwinExit
from medprobe.diagnostics.records.grounding import Grounding, Hidden, Hiding
from medprobe.diagnostics.records.regression import AurocChange, Change, ClassChange, Compared, Regression
from medprobe.diagnostics.records.report import Diagnosis, Excluded, Predictions, Report
from medprobe.diagnostics.records.scores import (
    AnswerScores,
    AtPrevalence,
    Auroc,
    Bin,
    Measured,
    OperatingPoint,
    PredictiveValues,
    Probabilities,
)

SCRIPT_NAME = "evil<script>alert('x')</script>&\"model\""


REASONS = {"pass": "at least", "fail": "less than", "inconclusive": "these images cannot tell whether"}


def layers(accuracies: list[float], half: float = 0.03, auroc: bool = True) -> list[Layer]:
    return [
        Layer(
            layer=i,
            accuracy=a,
            ci=(max(0.0, a - half), min(1.0, a + half)),
            auroc=min(1.0, a + 0.04) if auroc else None,
        )
        for i, a in enumerate(accuracies)
    ]


def link(stage: Stage, before: float, after: float, verdict: VerdictValue, locus: str, reason: str = "") -> Link:
    loss = before - after
    return Link(
        verdict=verdict,
        reason=reason
        or f"{REASONS[verdict]} {0.75 if stage == 'vision' else 0.8:.0%} of the signal before the {stage} is handed on",
        loss=loss,
        ci=(loss - 0.055, loss + 0.052),
        retention=max(after, 0) / before if before > 0.05 else None,
        threshold=0.75 if stage == "vision" else 0.8,
        locus=locus,
    )


def chain(*values: float) -> Chain:
    return Chain(**dict(zip(Chain.model_fields, values, strict=True)))


def intervals(signal: Chain, half: float = 0.03) -> dict[str, tuple[float, float]]:
    return {place: (value - half, value + half) for place, value in signal}


def modes(signal: Chain, verdicts: dict[Stage, VerdictValue], reason: str = "") -> FailureModes:
    loci = {"vision": "vision.5.mean", "connector": "connector.0.mean", "llm": "llm.7.last", "answer": "answer"}
    before = dict(zip(STAGES, ("reference", *STAGES), strict=False))
    return FailureModes(
        **{
            FAILURE_MODES[s]: link(
                s, getattr(signal, before[s]), getattr(signal, s), verdicts.get(s, "pass"), loci[s], reason
            )
            for s in STAGES
        }
    )


def matrix(classes: int, right: float, n: int, unreadable: int | None = None) -> list[list[int]]:
    rows = []
    for true in range(classes):
        hits = round(right * n)
        row = [hits if read == true else (n - hits) // (classes - 1) for read in range(classes)]
        rows.append(row if unreadable is None else [*row, unreadable])
    return rows


def confusion(signal: Chain, classes: int, n: int, unreadable: int) -> dict[str, list[list[int]]]:
    def share(s: float) -> float:
        return max(0.0, s * (1 - 1 / classes) + 1 / classes)

    found = {place: matrix(classes, share(getattr(signal, place)), n) for place in Chain.model_fields}
    return found | {"answer": matrix(classes, share(signal.answer), n, unreadable)}


def by_class(tables: dict[str, list[list[int]]], classes: list[str]) -> dict[str, Any]:
    """Sensitivity and specificity as the counts say, with intervals of four points to either side."""
    found: dict[str, dict[str, dict[str, Share]]] = {"sensitivity": {}, "specificity": {}}
    for place, rows in tables.items():
        for k, name in enumerate(classes):
            others = [row for true, row in enumerate(rows) if true != k]
            taken = sum(row[k] for row in others) / sum(map(sum, others))
            for measure, value in (("sensitivity", rows[k][k] / sum(rows[k])), ("specificity", 1 - taken)):
                ci = (max(0.0, value - 0.04), min(1.0, value + 0.04))
                found[measure].setdefault(place, {})[name] = Share(value=value, ci=ci)
    return found


def scores(signal: Chain, classes: list[str], asked: bool = False) -> AnswerScores:
    """Scores as good as the signal; `asked`: the manifest asks for all that a manifest can, of the last class."""

    def value(of: float) -> Measured:
        return Measured(value=of, ci=(max(0.0, of - 0.031), min(1.0, of + 0.028)))

    def auroc(s: float) -> Auroc:
        of = {name: value(0.5 + max(0.0, s) / 2 - 0.004 * k) for k, name in enumerate(classes)}
        return Auroc(macro=value(0.5 + max(0.0, s) / 2), classes=of)

    def probabilities(off: float) -> Probabilities:
        bins = [
            Bin(confidence=c, right=max(0.0, c - off), n_images=n) for c, n in ((0.55, 40), (0.76, 120), (0.97, 440))
        ]
        return Probabilities(brier=value(0.1 + off), ece=value(off), reliability=bins)

    reading = PredictiveValues(ppv=value(0.12), npv=value(0.998))
    point = OperatingPoint(
        asked="sensitivity", at=0.95, thresholds=[0.31, 0.29, 0.33, 0.3, 0.3], sensitivity=value(0.947),
        specificity=value(0.412),
    )  # fmt: skip
    power = max(0.2, 1 - max(0.0, signal.answer))
    places = {place: auroc(s) for place, s in signal}
    return AnswerScores(
        auroc=places | {"said": auroc(signal.answer - 0.05)},
        roc={name: [(i / 100) ** power for i in range(101)] for name in classes},
        average_precision={name: value(0.6) for name in classes},
        probabilities=probabilities(0.18),
        probabilities_after_offset=probabilities(0.02),
        operating_point={classes[-1]: point} if asked else {},
        predictive_values={
            classes[-1]: AtPrevalence(prevalence=0.01, answer=reading, operating_point=reading)
        } if asked else {},
        f1={name: value(0.61) for name in classes},
        macro_f1=value(0.61),
        kappa=value(0.4),
        quadratic_kappa=value(0.55) if asked else Measured(reason="the manifest does not say ordinal = true"),
    )  # fmt: skip


def answer(
    llm: float,
    readable: float,
    likeliest: float,
    said: float,
    calibrated: float | None = None,
    unparseable: float = 0.0,
    refused: float = 0.0,
) -> AnswerReading:
    def change(before: float, after: float) -> Difference:
        return Difference(change=after - before, ci=(after - before - 0.03, after - before + 0.03))

    calibrated = likeliest if calibrated is None else calibrated
    swapped = 1 - max(likeliest, 0)
    return AnswerReading(
        readable_in_options=readable,
        random_tokens=readable - 0.1,
        likeliest=likeliest,
        calibrated=calibrated,
        said=said,
        steps=Steps(options=change(llm, readable), likeliest=change(readable, likeliest), said=change(likeliest, said)),
        calibration=change(likeliest, calibrated),
        blank_image=swapped,
        swapped_image=swapped,
        modality_reliance=1 - swapped,
        option_order=Rewording(
            prompt="Answer triangle, square or circle.",
            n_images=200,
            agreement=0.91,
            said=said - 0.04,
            likeliest=likeliest - 0.04,
            said_as_asked=said,
            likeliest_as_asked=likeliest,
        ),
        paraphrases=[],
        unparseable=unparseable,
        refused=refused,
        option_score="sum of log likelihoods",
    )


COMMON: dict[str, Any] = {
    "exits": {
        "vision": Exit(loci={"vision.5.mean": 4, "connector.0.mean": 1}, below_chance=False),
        "connector": Exit(loci={"connector.0.mean": 5}, below_chance=False),
        "llm": Exit(loci={"llm.7.last": 5}, below_chance=False),
    },
    "settings": {
        "probe": "ridge", "seed": 0, "folds": 5, "dtype": "float32", "device": "cpu", "batch_size": 8,
        "prompt": "Which finding is shown? Answer circle, square or triangle.",
        "fingerprints": {"model": "b1c4" * 16, "data": "09fe" * 16, "processor": None},
    },
    "timing": {"extraction": 21.4, "probing": 3.25, "reference": 0.8},
    "minimum_loss": 0.021,
    "n_images": 600,
    "n_groups": 150,
}  # fmt: skip


def controls() -> Controls:
    null = Null(
        probe="ridge",
        n_permutations=100,
        loci=["reference", "vision.24.mean", "connector.0.grid", "llm.31.last", "answer.0.options"],
        band=0.12,
        accuracy=(0.66, 0.75),
        p=1 / 101,
    )
    exit_ = TwinExit(model=0.71, twin=0.3, twin_accuracy=0.62)
    return Controls(
        asked="quick",
        null=null,
        pixels=Floor(signal=0.35, ci=(0.3, 0.4), accuracy=0.68, p=1 / 101),
        file_facts=FileFacts(
            **Floor(signal=0.22, ci=(0.17, 0.27), accuracy=0.61, p=1 / 101).model_dump(),
            facts=["width", "file type"],
            within={"reference": 0.7, "vision": 0.68, "connector": 0.1, "llm": 0.1, "answer": 0.08},
            n_within=5321,
        ),
        twin=Twin(n_images=200, reason=None, vision=exit_, connector=exit_),
        control_task=ControlTask(shared=0.12, reason="only 12% of the images share a group with another", loci={}),
    )


def healthy() -> Diagnosis:
    signal = chain(0.9512, 0.9397, 0.9386, 0.9374, 0.9303)
    return Diagnosis(
        model="phantom",
        revision=None,
        dataset="phantom",
        contamination="held_out",
        verdict="pass",
        failure_modes=modes(signal, {}),
        accuracy=Accuracy(chance=0.3333, reference=0.967, vision=0.96, connector=0.959, llm=0.958, answer=0.953),
        signal=signal,
        signal_ci=intervals(signal),
        classes=["circle", "square", "triangle"],
        confusion=confusion(signal, 3, 200, 0),
        **by_class(confusion(signal, 3, 200, 0), ["circle", "square", "triangle"]),
        scores=scores(signal, ["circle", "square", "triangle"]),
        curves=Curves(
            vision=layers([0.46, 0.61, 0.78, 0.9, 0.95, 0.96]),
            vision_grid=layers([0.5, 0.66, 0.8, 0.88, 0.92, 0.94]),
            connector=layers([0.959]),
            connector_grid=layers([0.94]),
            llm_mean=layers([0.958, 0.956, 0.957, 0.95, 0.95, 0.948, 0.946, 0.945]),
            llm_last=layers([0.34, 0.55, 0.83, 0.94, 0.95, 0.957, 0.958, 0.958]),
        ),
        health=Health(vision=1.211, connector=0.958, llm_mean=0.93, llm_last=1.402, answer=0.953),
        answer=answer(0.9374, 0.936, 0.932, 0.9303),
        reference=Reference(
            network="kmeans-filters-64px-6x6-128",
            pretrained=False,
            origin="filters learnt from these images without their labels, read by the probe",
            raised_by=None,
        ),
        **COMMON,
    )


def named_cause(against: str = "gemma-3-4b", judged_on: Literal["likeliest", "said"] = "likeliest") -> Cause:
    """The connector, by swapping; two settings differ, of which one can be swapped alone."""
    effects: dict[Place, float] = {"input": 0.003, "vision": 0.01, "connector": 0.71, "llm": -0.02, "answer": 0.0}
    half = 0.04
    swaps: dict[Place, Swap] = {
        place: Swap(gain=e, gain_ci=(e - half, e + half), loss=e / 2, loss_ci=(e / 2 - half, e / 2 + half))
        for place, e in effects.items()
    }
    return Cause(
        against=against,
        found_by="swap",
        certain=True,
        judged_on=judged_on,
        shipped=Shipped(signal=0.69, ci=(0.65, 0.73)),
        effects=Modules(**{str(place): effect for place, effect in effects.items()}),
        ci={place: (effects[place] - half, effects[place] + half) for place in PLACES},
        module="connector",
        reason="its effect exceeds that of every other place, and single swaps in both directions agree",
        layer=None,
        difference=0.703,
        difference_ci=(0.64, 0.75),
        swaps=swaps,
        hybrids=[
            Hybrid(swapped=[], signal=-0.0211, ci=(-0.05, 0.01)),
            Hybrid(swapped=["connector"], signal=0.69, ci=(0.65, 0.73)),
            Hybrid(swapped=["input", "connector"], signal=0.693, ci=(0.65, 0.73)),
        ],
        prefixes=[
            Prefix(layers=0, signal=-0.0211, ci=(-0.05, 0.01)),
            Prefix(layers=1, signal=0.69, ci=(0.65, 0.73)),
        ],
        keys=[
            Key(
                path="chat_template",
                ours="{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}" * 40,
                theirs="{% for message in messages %}{{ message.content }}{% endfor %}" * 40,
                signal=-0.0181,
                change=Difference(change=0.003, ci=(-0.01, 0.016)),
            ),
            Key(
                path="config.text_config.num_hidden_layers",
                ours=34,
                theirs=36,
                reason="it changes the shapes of weights",
            ),
        ],
        n_images=200,
    )


def other_inputs(named: bool) -> Counterfactuals:
    """Four other inputs, of which the mean and deviation of the pixels explain the loss, or none."""

    def asked(name: str, change: float, explains: bool, **changes: Any) -> Alternative:
        difference = Difference(change=change, ci=(change - 0.08, change + 0.07))
        return Alternative(
            name=name, changes=changes, n_images=96, signal=0.004 + change, change=difference, explains=explains
        )  # fmt: skip

    mean = "image_mean 0.5 and image_std 0.5"
    return Counterfactuals(
        n_images=60,
        judged_on="said",
        asked=0.004,
        short=0.88,
        named=mean if named else None,
        tried=[
            asked(
                mean,
                0.806 if named else 0.1,
                named,
                **{"image_processor.image_mean": [0.5] * 3, "image_processor.image_std": [0.5] * 3},
            ),
            asked("greys inverted", -0.004, False, **{"image_processor.invert": True}),
            asked("no system line", 0.01, False, chat_template="{{ messages[0].content }} " * 60),
            Alternative(
                name="greys brightened by gamma 2.2",
                changes={"picture": "greys brightened by gamma 2.2"},
                n_images=36,
                reason="too little is gained on the images that screen",
            ),
            Alternative(
                name="tower layer -1",
                changes={"config.vision_feature_layer": -1},
                reason="the tower has no layer behind the one that is read",
            ),
        ],
    )


def not_said(model: str, **update: Any) -> Diagnosis:
    """Readable to the last layer, and the answer far below it."""
    signal = chain(0.9512, 0.9397, 0.9386, 0.9074, 0.004)
    base = healthy().model_dump()
    return Diagnosis(
        **base
        | {
            "model": model,
            "verdict": "fail",
            "signal": signal,
            "signal_ci": intervals(signal),
            "accuracy": Accuracy(chance=1 / 3, reference=0.967, vision=0.96, connector=0.959, llm=0.94, answer=0.335),
            "primary_failure_mode": FAILURE_MODES["answer"],
            "failure_modes": modes(signal, {"answer": "fail"}),
            "confusion": confusion(signal, 3, 200, 3),
            **by_class(confusion(signal, 3, 200, 3), ["circle", "square", "triangle"]),
            "answer": answer(0.9074, 0.88, 0.35, 0.004, calibrated=0.83),
        }
        | update
    )


def open_cause() -> Diagnosis:
    """Other inputs were tried and none explains the loss; no second checkpoint was given."""
    reason = (
        "readable up to the LLM's last layer, not said; the cause is open: none of 4 other inputs that this family "
        "knows explains it"
    )
    return not_said(
        "llava-open",
        cause=Cause(reason=reason, judged_on="said"),
        counterfactuals=other_inputs(named=False),
        pixels=Pixels(n_images=60, mean=-0.31, deviation=0.87),
    )


def wrong_mean() -> Diagnosis:
    """The input is the cause, found by asking again."""
    published = Key(path="image_processor.image_mean", ours=[0.9] * 3, theirs=[0.5] * 3)
    return not_said(
        "llava-mean",
        cause=Cause(
            found_by="counterfactual",
            certain=True,
            module="input",
            key="image_processor.image_mean, image_processor.image_std",
            judged_on="said",
            reason="with image_mean 0.5 and image_std 0.5 what is said reads 81 instead of 0 points",
        ),
        counterfactuals=other_inputs(named=True),
        pixels=Pixels(n_images=60, mean=-4.21, deviation=2.9, differs=[published]),
    )


def swapped() -> Diagnosis:
    """The connector is the cause of what only the answer shows, found by swapping."""
    return not_said("llava-connector", cause=named_cause("llava-base", "said"), dataset="busi")


def tried() -> Treatments:
    def trial(name: RemedyName, signal: float, change: float, passes: float = 0, labelled: bool = False) -> Treatment:
        difference = Difference(change=change, ci=(change - 0.06, change + 0.05))
        helps = change > 0.06
        return Treatment(
            name=name, signal=signal, change=difference, helps=helps, passes=passes, labelled=labelled
        )  # fmt: skip

    return Treatments(
        n_images=200,
        said=0.0,
        lost=0.82,
        trials=[
            trial("calibration", 0.71, 0.71, labelled=True),
            trial("noise_contrast", -0.02, -0.02, passes=1),
            Treatment(name="prompts", passes=0, labelled=False, reason="the manifest has no paraphrases"),
            trial("llm_probe", 0.74, 0.74, labelled=True),
        ],
    )


def hidden() -> Grounding:
    def place(intact: float, lesion: float, elsewhere: float) -> Hidden:
        def less(after: float, before: float) -> Difference:
            return Difference(change=after - before, ci=(after - before - 0.05, after - before + 0.05))

        return Hidden(
            intact=intact,
            without_lesion=lesion,
            without_elsewhere=elsewhere,
            by_lesion=less(lesion, intact),
            by_elsewhere=less(elsewhere, intact),
            specific=less(lesion, elsewhere),
        )

    return Grounding(
        n_images=194,
        n_lesions=126,
        n_left_out=6,
        pixels=Hiding(
            places={"vision": place(0.94, 0.52, 0.93), "answer": place(0.93, 0.61, 0.92)},
            changed_by_lesion=0.31,
            changed_by_elsewhere=0.02,
            changed=Difference(change=0.29, ci=(0.21, 0.37)),
            right=118,
            right_without_lesion=82,
            right_without_elsewhere=117,
        ),
        tokens=Hiding(reason="its 65 image tokens are no lattice over the picture"),
        depends_on_lesion=True,
        shortcut=True,
    )


def unnamed_cause() -> Cause:
    return Cause(against="paligemma", reason="modules of another architecture cannot be swapped: their parts differ")


def connector_fail() -> Diagnosis:
    """Two classes, a signal below chance at the end, excluded images, a cause and a regression."""
    signal = chain(0.9204, 0.8811, 0.1134, 0.0894, -0.0211)
    return Diagnosis(
        model="medgemma",
        revision="290cda5e",
        dataset="chest-xray",
        verdict="fail",
        primary_failure_mode="connector_fidelity_loss",
        failure_modes=modes(signal, {"connector": "fail", "llm": "inconclusive", "answer": "fail"}),
        accuracy=Accuracy(chance=0.73, reference=0.965, vision=0.947, connector=0.74, llm=0.735, answer=0.728),
        signal=signal,
        signal_ci=intervals(signal),
        classes=["normal", "pneumonia"],
        confusion=confusion(signal, 2, 300, 14),
        **by_class(confusion(signal, 2, 300, 14), ["normal", "pneumonia"]),
        scores=scores(signal, ["normal", "pneumonia"], asked=True),
        curves=Curves(
            vision=layers(
                [0.74, 0.78, 0.83, 0.87, 0.9, 0.91, 0.92, 0.93, 0.94, 0.944, 0.946, 0.947] + [0.947] * 15, 0.012
            ),
            vision_grid=[],
            connector=layers([0.74], 0.014),
            connector_grid=[],
            llm_mean=layers([0.74, 0.739, 0.738, 0.737] * 8 + [0.74, 0.735], 0.014, auroc=False),
            llm_last=layers([0.73, 0.735, 0.734, 0.736] * 8 + [0.74, 0.735], 0.014, auroc=False),
        ),
        health=Health(vision=1.13, connector=0.68, llm_mean=0.72, llm_last=0.73, answer=0.728),
        answer=answer(0.0912, 0.08, 0.01, -0.0211, unparseable=0.045, refused=0.02),
        reference=Reference(
            network="resnet50.a1_in1k",
            pretrained=True,
            origin="pretrained weights timm/resnet50.a1_in1k@767268603ca0, read by the probe",
            raised_by="vision.24.mean",
        ),
        excluded=[
            Excluded(image="ab12" * 8, reason="truncated file"),
            Excluded(image="cd34" * 8, reason="no pixel data"),
        ],
        n_excluded=2,
        cautions=["contamination unknown", "shortcut: file size alone reads 0.61"],
        regression=regressed(),
        cause=named_cause(),
        treatments=tried(),
        grounding=hidden(),
        controls=controls(),
        **{**COMMON, "n_images": 5840, "n_groups": 2791},
    )


def tuned(diagnosis: Diagnosis, adapter: str = "lora", answer: float = 0.42) -> Diagnosis:
    """The same after tuning: its answer has so much signal."""
    assert diagnosis.signal is not None
    return diagnosis.model_copy(
        update={
            "settings": diagnosis.settings | {"adapter": adapter},
            "signal": diagnosis.signal.model_copy(update={"answer": answer}),
        }
    )


def regressed() -> Regression:
    size: dict[str, Any] = {"asked": 0.02, "clears": 0.043, "needed": {"normal": 1500, "pneumonia": 1234}}
    lost = Change(change=-0.11, ci=(-0.15, -0.07), p=0.0002, p_adjusted=0.0004, verdict="regressed", **size)
    kept = Change(change=0.002, ci=(-0.01, 0.014), p=0.7, p_adjusted=0.7, verdict="not_regressed", **size)
    return Regression(
        verdict="regressed",
        reason="sensitivity for pneumonia, -11 points, 52.0 to 41.0 percent (-15.0 to -7.0, p 0.0004); "
        "more than 2 points are lost at the answer (-11.0, -15.0 to -7.0, p 0.0004); the baseline was made "
        "otherwise (device cpu, here cuda), so a regression must exceed 4 points",
        places=["answer"],
        undecided=[],
        improved=[],
        baseline=Compared(file="v1.2.json", model="medgemma", revision="v1.2"),
        minimum_effect=0.02,
        made_otherwise={"device": ("cpu", "cuda")},
        fold_seeds=5,
        deciding=["answer"],
        changed_answers=0.05,
        differing=0.043,
        exits={"vision": kept, "connector": kept, "llm": kept, "answer": lost},
        sensitivity={
            "normal": ClassChange(**kept.model_dump(), before=0.9, after=0.902, margin=0.05),
            "pneumonia": ClassChange(**lost.model_dump(), before=0.52, after=0.41, margin=0.05),
        },
        specificity={
            "normal": ClassChange(**lost.model_dump(), before=0.52, after=0.41, margin=0.05),
            "pneumonia": ClassChange(**kept.model_dump(), before=0.9, after=0.902, margin=0.05),
        },
        auroc=AurocChange(before=0.581, after=0.522, change=-0.059, ci=(-0.081, -0.037)),
        health_drops=[
            HealthLimit(
                curve="connector",
                verdict="fail",
                reason="Feature Health Score of connector dropped by 0.20, more than 0.1",
                value=0.2,
                ci=(0.15, 0.26),
                limit=0.1,
            )
        ],
    )


def failed() -> Diagnosis:
    """Loading stopped: everything that can be null is null."""
    return Diagnosis(
        model=SCRIPT_NAME,
        revision=None,
        dataset="busi",
        error="The checkpoint's <connector> could not be found: looked for multi_modal_projector; give --modules.",
    )


def tied() -> Diagnosis:
    signal = chain(0.9, 0.88, 0.45, 0.44, 0.03)
    base = healthy().model_dump()
    return Diagnosis(
        **base
        | {
            "model": "lingshu-7b",
            "dataset": "covid19-ct",
            "verdict": "fail",
            "signal": signal,
            "signal_ci": intervals(signal),
            "accuracy": Accuracy(chance=1 / 3, reference=0.93, vision=0.92, connector=0.63, llm=0.63, answer=0.35),
            "curves": base["curves"]
            | {
                "connector": layers([0.63]),
                "connector_grid": layers([0.6]),
                "llm_mean": layers([0.63, 0.62, 0.62, 0.61, 0.6, 0.6, 0.6, 0.6]),
                "llm_last": layers([0.33, 0.45, 0.55, 0.6, 0.62, 0.63, 0.63, 0.63]),
            },
            "answer": answer(0.44, 0.42, 0.04, 0.03, calibrated=0.4),
            "primary_failure_mode": None,
            "tied": ["connector_fidelity_loss", "semantic_mapping_misalignment"],
            "failure_modes": modes(signal, {"connector": "fail", "answer": "fail"}),
            "cause": unnamed_cause(),
            "confusion": confusion(signal, 3, 200, 3),
            **by_class(confusion(signal, 3, 200, 3), ["circle", "square", "triangle"]),
        }
    )


def vision_fail() -> Diagnosis:
    return _fails("vision", chain(0.9, 0.31, 0.31, 0.3, 0.29), vision=layers([0.5, 0.81, 0.8, 0.7, 0.6, 0.54]))


def llm_fail() -> Diagnosis:
    return _fails(
        "llm", chain(0.9, 0.89, 0.88, 0.2, 0.2), llm_last=layers([0.33, 0.6, 0.9, 0.93, 0.7, 0.5, 0.47, 0.47])
    )


def _fails(stage: Stage, signal: Chain, **curves: list[Layer]) -> Diagnosis:
    base = healthy().model_dump()
    return Diagnosis(
        **base
        | {
            "model": f"phantom-{stage}",
            "verdict": "fail",
            "signal": signal,
            "signal_ci": intervals(signal),
            "primary_failure_mode": FAILURE_MODES[stage],
            "failure_modes": modes(signal, {stage: "fail"}),
            "curves": base["curves"] | curves,
        }
    )


def undecided() -> Diagnosis:
    """The images do not carry the labels: no retention, no curves of grids, no answer reading."""
    signal = chain(0.02, 0.01, -0.01, 0.0, 0.01)
    inconclusive: dict[Stage, VerdictValue] = dict.fromkeys(STAGES, "inconclusive")
    base = healthy().model_dump()
    return Diagnosis(
        **base
        | {
            "model": "hulu-med-4b",
            "verdict": "inconclusive",
            "signal": signal,
            "failure_modes": modes(signal, inconclusive, "these images do not carry the labels"),
            "answer": None,
            "health": None,
            "confusion": {},
            "signal_ci": {},
        }
    )


def predictions(n_lost: int = 3) -> Predictions:
    """Two classes of ten images a class, all right at the tower; `n_lost` pneumonias are then called normal."""
    labels = [0] * 10 + [1] * 10
    said = labels[:-n_lost] + [0] * n_lost if n_lost else labels
    return Predictions(
        model="medgemma",
        dataset="chest-xray",
        data_fingerprint="09fe" * 16,
        prompt="Normal or pneumonia?",
        probe="ridge",
        classes=["normal", "pneumonia"],
        images=[f"{i:064x}" for i in range(20)],
        labels=labels,
        groups=list(range(20)),
        places=dict.fromkeys(Chain.model_fields, labels) | {"answer": said},
        exits={},
        loci={},
        options=[[-0.2, -1.9] if k == 0 else [-2.1, -0.3] for k in said],
        made={},
    )


def deep() -> Diagnosis:
    """A failing connector in a model of 27 layers of vision and 62 of the LLM."""
    base = connector_fail()
    assert base.curves is not None
    depths = {"vision": 27, "vision_grid": 27, "connector": 1, "connector_grid": 1, "llm_mean": 62, "llm_last": 62}
    curves = {name: layers([0.5 + i / 200 for i in range(n)]) for name, n in depths.items()}
    return base.model_copy(update={"curves": base.curves.model_copy(update=curves)})


def all_lost(n: int) -> Predictions:
    """`n` images of one class, right everywhere but in the answer."""
    return predictions().model_copy(
        update={
            "images": [f"{i:064x}" for i in range(n)],
            "labels": [0] * n,
            "groups": list(range(n)),
            "places": {place: [0] * n for place in Chain.model_fields} | {"answer": [1] * n},
            "options": [[-2.1, -0.3]] * n,
        }
    )


def report(*diagnoses: Diagnosis) -> Report:
    return Report(
        suite={
            "versions": {"medprobe": "0.1.0", "torch": "2.14.1", "transformers": "5.23.0"},
            "command": "pytest --model phantom --model medgemma --dataset chest-xray",
            "seed": 0,
        },
        verdict=worst([v for d in diagnoses for v in gate_verdicts(d, "both").values()]),
        gate="both" if any(d.regression is not None for d in diagnoses) else "absolute",
        diagnoses=list(diagnoses),
    )


def everything() -> Report:
    return report(
        healthy(), connector_fail(), failed(), tied(), undecided(), open_cause(), wrong_mean(), swapped()
    )  # fmt: skip


if __name__ == "__main__":
    from medprobe.plugins.report.outputs.files import write_report
    from medprobe.plugins.report.outputs.pages import write_pages

    write_report(everything(), sys.argv[1])
    write_pages(everything(), sys.argv[1], [None, predictions(), *[None] * 6])
