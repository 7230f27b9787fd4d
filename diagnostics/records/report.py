"""The records of `report.json`. They import nothing but pydantic, so that reading a report is cheap."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["vision", "connector", "llm", "answer"]
Place = Literal["input", "vision", "connector", "llm", "answer"]
"""Where a cause can sit: a stage, or the input (processor, chat template, numbers of the configuration)."""
Readout = Literal["mean", "grid", "attention", "last"]
VerdictValue = Literal["pass", "fail", "inconclusive"]
FailureMode = Literal[
    "visual_representation_quality",
    "connector_fidelity_loss",
    "llm_comprehension_deficit",
    "semantic_mapping_misalignment",
]

STAGES: tuple[Stage, ...] = ("vision", "connector", "llm", "answer")
PLACES: tuple[Place, ...] = ("input", *STAGES)
"""The players of a swap, in the order in which the signal passes them."""
FAILURE_MODES: dict[Stage, FailureMode] = {
    "vision": "visual_representation_quality",
    "connector": "connector_fidelity_loss",
    "llm": "llm_comprehension_deficit",
    "answer": "semantic_mapping_misalignment",
}
HealthCurve = Literal["vision", "connector", "llm_mean", "llm_last"]
"""The curves that have a Feature Health Score."""
ChangeValue = Literal["regressed", "not_regressed", "inconclusive", "improved"]
Measure = Literal["sensitivity", "specificity"]
"""What is read of one class against the rest."""
Gate = Literal["absolute", "regression", "both"]
"""Whether a run is judged by its links, by its change since a baseline, or by both."""
CHAIN: tuple[str, ...] = ("reference", *STAGES)
"""The places whose signal the chain compares, in order; each link ends at a stage."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(Record):
    """One point of a curve. Accuracy is raw, as in the paper; `ci` is its 95 percent interval."""

    layer: int
    accuracy: float
    ci: tuple[float, float]
    auroc: float | None


class Curves(Record):
    """Accuracy by layer; the last layer of a stage is read at the stage's exit."""

    vision: list[Layer]
    vision_grid: list[Layer]
    connector: list[Layer]
    connector_grid: list[Layer]
    llm_mean: list[Layer]
    llm_last: list[Layer]


class Link(Record):
    """One link of the chain, judged: loss and interval in signal, `threshold` is the retention asked for."""

    verdict: VerdictValue
    reason: str
    loss: float
    ci: tuple[float, float]
    retention: float | None
    threshold: float
    locus: str


class FailureModes(Record):
    visual_representation_quality: Link
    connector_fidelity_loss: Link
    llm_comprehension_deficit: Link
    semantic_mapping_misalignment: Link


class Chain(Record):
    """One number a place of the chain."""

    reference: float
    vision: float
    connector: float
    llm: float
    answer: float


class Accuracy(Chain):
    chance: float
    """The accuracy of always saying the largest class."""


class Health(Record):
    """Feature Health Scores (arXiv 2604.08333); `answer` is the plain accuracy that ends the paper's profile."""

    vision: float
    connector: float
    llm_mean: float
    llm_last: float
    answer: float


class Difference(Record):
    """A difference of signal, paired over the same images, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]


class Steps(Record):
    """What each step of the last link changes."""

    options: Difference
    """From the last layer to what the option likelihoods hold."""
    likeliest: Difference
    """From there to the likeliest option."""
    said: Difference
    """From there to the class the text names."""


class Rewording(Record):
    """The same images under other words: signal of what was said and of the likeliest option, in both wordings."""

    prompt: str
    n_images: int
    agreement: float
    """Share of images whose likeliest option is the same in both wordings."""
    said: float
    likeliest: float
    said_as_asked: float
    likeliest_as_asked: float


class HealthLimit(Record):
    """A Feature Health Score held against its least value, or its drop since the baseline against the largest.

    `value` is the score or the drop, `ci` its 95 percent interval over resamples of the curve.
    """

    curve: HealthCurve
    verdict: VerdictValue
    reason: str
    value: float
    ci: tuple[float, float]
    limit: float


class AnswerReading(Record):
    """Signal of the answer read in three ways, and how much of it the picture decides."""

    readable_in_options: float
    random_tokens: float
    """Signal of the same probe on as many random tokens: the control of `readable_in_options`."""
    likeliest: float
    calibrated: float
    """Signal of the likeliest option under an offset for each option, fitted inside the folds."""
    said: float
    steps: Steps
    calibration: Difference
    """What the calibration gives back at the likeliest option."""
    blank_image: float
    """Share of images whose likeliest option stays the same when the picture is blank."""
    swapped_image: float
    """Share whose likeliest option stays the same when an image of another class takes the place."""
    modality_reliance: float
    """1 - swapped_image: how much of the answer the picture decides."""
    option_order: Rewording | None
    """The options of the prompt in reverse order; null where the prompt does not name each once."""
    paraphrases: list[Rewording]
    unparseable: float
    """Share of images whose text names no class, or several; counted as wrong."""
    refused: float
    """Share of images whose text names no class and declines to, a part of `unparseable`."""
    option_score: str
    """How an option's likelihood was made from its tokens."""


RemedyName = Literal[
    "calibration",
    "batch_prior",
    "blank_prior",
    "blank_contrast",
    "noise_contrast",
    "image_guidance",
    "option_order",
    "prompts",
    "options_probe",
    "llm_probe",
    "connector_probe",
]
"""Remedies that need no training of the model: offsets of the options fitted on labelled images; the options' prior
taken off, read from the other images or from a blank one; contrast with a blank or noised image; guidance away from the
question without a picture; the mean over both orders of the options and over paraphrases; probes on the option
likelihoods, at the last layer and at the decoder's input used as the answer.
"""


class Treatment(Record):
    """What one remedy gives: signal and change against the answer as said, null where `reason` says why not tried."""

    name: RemedyName
    signal: float | None = None
    change: Difference | None = None
    helps: bool | None = None
    """Whether signal and change are above 0 with all remedies counted."""
    passes: float
    """Forward passes an image beside the model's own; a blank picture or none is asked once for all."""
    labelled: bool
    """Whether it learns from labelled images, of other folds here."""
    reason: str | None = None


class Treatments(Record):
    """Remedies tried on the same `n_images`. `lost` is the reference's signal less `said`, which counts from 0."""

    n_images: int
    said: float
    lost: float
    trials: list[Treatment]


class Hidden(Record):
    """Signal at one place of the chain on the same images: intact, without the lesion, without an equal area elsewhere.

    Images without a lesion lose a place of another image's lesion, so that all are treated alike.
    """

    intact: float
    without_lesion: float
    without_elsewhere: float
    by_lesion: Difference
    """Without the lesion less intact."""
    by_elsewhere: Difference
    """Without the area elsewhere less intact."""
    specific: Difference
    """Without the lesion less without the area elsewhere: what the lesion itself carries."""


class Hiding(Record):
    """What one way of hiding changes; empty where `reason` says why it was not tried.

    Counts and shares are of the images with a lesion.
    """

    reason: str | None = None
    places: dict[Stage, Hidden] = Field(default_factory=dict)
    changed_by_lesion: float | None = None
    """Share whose likeliest option changes without the lesion."""
    changed_by_elsewhere: float | None = None
    changed: Difference | None = None
    """The first share less the second, in shares of images."""
    right: int | None = None
    """Images answered rightly as they are."""
    right_without_lesion: int | None = None
    """Of those, how many are still answered rightly without the lesion."""
    right_without_elsewhere: int | None = None


class Grounding(Record):
    """Whether answer and exits depend on the lesion: hidden in the picture, and as image tokens at the decoder's input.

    Null where `reason` says why nothing was hidden; `depends_on_lesion` and `shortcut` also where the answer has no
    signal.
    """

    n_images: int = 0
    n_lesions: int = 0
    n_left_out: int = 0
    """Images of the sample whose lesion is unknown or leaves no equal area elsewhere."""
    reason: str | None = None
    pixels: Hiding | None = None
    tokens: Hiding | None = None
    depends_on_lesion: bool | None = None
    """Whether the answer loses more by the lesion than by an equal area elsewhere."""
    shortcut: bool | None = None
    """Whether the answer keeps more than half of its signal without the lesion."""


class Exit(Record):
    """Which loci an exit's held-out predictions were taken from, and in how many folds each."""

    loci: dict[str, int]
    below_chance: bool


class Reference(Record):
    """What the images allow, read by a supervised network on the same folds."""

    network: str
    pretrained: bool
    origin: str
    """Where its weights came from and how it was read, in words."""
    raised_by: str | None
    """The later locus that read more than the reference and so raised it, if one did."""


class Share(Record):
    """A share of images with its 95 percent interval over patient groups."""

    value: float
    ci: tuple[float, float]


class Change(Record):
    """The change of signal at one place, this run minus the baseline, with its 95 percent interval."""

    change: float
    ci: tuple[float, float]
    p: float
    p_adjusted: float
    verdict: ChangeValue


class ClassChange(Change):
    """The change of one class's sensitivity or specificity at the answer, in shares of images."""

    before: float
    after: float
    margin: float
    """The loss that is accepted."""


class Compared(Record):
    """The saved run that a run was compared with; `file` is the base name of its file."""

    file: str
    model: str
    revision: str | None


class Regression(Record):
    """This run against its baseline: regressed where any place is, inconclusive where any cannot be decided."""

    verdict: Literal["regressed", "not_regressed", "inconclusive"]
    reason: str
    places: list[Stage]
    """The places that regressed."""
    undecided: list[Stage]
    improved: list[Stage]
    baseline: Compared
    minimum_effect: float
    """The loss of signal that is accepted."""
    made_otherwise: dict[str, tuple[str, str]]
    """Device, dtype and batch size where they differ, the baseline's first; a regression must then exceed twice the
    minimum effect."""
    fold_seeds: int
    """Over how many assignments of folds the change at a probe exit is averaged."""
    exits: dict[Stage, Change]
    sensitivity: dict[str, ClassChange] = Field(default_factory=dict)
    """By class, at the answer; one family of tests with `specificity` and `exits`."""
    specificity: dict[str, ClassChange] = Field(default_factory=dict)
    health_drops: list[HealthLimit]


class Null(Record):
    """What the same reading finds when labels are permuted by whole group: the largest signal over `loci`, once a
    permutation.
    """

    probe: Literal["ridge"]
    """What read the permuted labels; under the paper's probe too, whose training is too dear to repeat so often."""
    n_permutations: int
    loci: list[str]
    band: float
    """95 percent quantile of the largest signal."""
    accuracy: tuple[float, float]
    """The band in raw accuracy: 5 percent quantile of the least, 95 percent quantile of the largest over `loci`."""
    p: float
    """Of the reference's signal: (1 + permutations whose largest signal reaches it) / (1 + n_permutations)."""


class Floor(Record):
    """What a trivial look at the images reads, by the same probe on the same folds."""

    signal: float
    ci: tuple[float, float]
    accuracy: float
    p: float
    """Of the signal, under its own null."""


class FileFacts(Floor):
    """The floor of what the file tells before a pixel is decoded."""

    facts: list[str]
    """The facts that differ between images."""
    within: dict[str, float] | None
    """Signal at each place of the chain between images whose files look alike; null where no stratum holds two
    classes."""
    n_within: int
    """Images in strata that hold two classes."""


class TwinExit(Record):
    """Signal at one exit of the model and of its untrained twin, on the same images."""

    model: float
    twin: float
    twin_accuracy: float


class Twin(Record):
    """The model's architecture with tower and connector drawn at random; null exits where it was not read."""

    n_images: int
    reason: str | None
    """Why it was not read."""
    vision: TwinExit | None
    connector: TwinExit | None


class Selectivity(Record):
    real: float
    control: float
    """Signal of random labels of groups, with images of a group on both sides of a fold."""
    selectivity: float


class ControlTask(Record):
    """Hewitt and Liang 2019: what the probe can learn by heart about a patient's images, at each exit's loci."""

    shared: float
    """Share of images that share a group with another."""
    reason: str | None
    """Why it does not apply."""
    loci: dict[str, Selectivity]


class Controls(Record):
    asked: Literal["quick", "full"]
    null: Null
    pixels: Floor
    """Of 16 x 16 grey pixels."""
    file_facts: FileFacts
    twin: Twin
    control_task: ControlTask


class Excluded(Record):
    image: str
    """Keyed hash of the image."""
    reason: str


class Modules(Record):
    """One number a place where a cause can sit."""

    input: float = 0.0
    vision: float
    connector: float
    llm: float
    answer: float


class Swap(Record):
    """One place swapped alone, in signal: what the model gains by the other checkpoint's, and what the other
    checkpoint loses by the model's, each with its 95 percent interval."""

    gain: float
    gain_ci: tuple[float, float]
    loss: float
    loss_ci: tuple[float, float]


class Hybrid(Record):
    """The signal of the answer with the places of `swapped` from the other checkpoint."""

    swapped: list[Place]
    signal: float
    ci: tuple[float, float]


class Prefix(Record):
    """The signal with the first `layers` layers of the named module from the other checkpoint."""

    layers: int
    signal: float
    ci: tuple[float, float]


class Key(Record):
    """A setting of the input that the two checkpoints have otherwise, by its path in their files.

    `signal` and `change` are of the model with this one setting from the other checkpoint; null where `reason` says why
    it was not swapped alone.
    """

    path: str
    ours: Any
    theirs: Any
    signal: float | None = None
    change: Difference | None = None
    reason: str | None = None


class Shipped(Record):
    """The second checkpoint with its own input: the signal of its answers on the same images."""

    signal: float
    ci: tuple[float, float]


class Alternative(Record):
    """The model asked under another input. `changes` are settings by path with the value tried; `picture` is the path
    of a change of the picture itself.

    signal: of its answers on the images that test, null where it was not asked there, for the `reason` given. change:
    that less the answers as they are, which count from 0, the intervals of all tested alternatives together covering 95
    percent.
    """

    name: str
    changes: dict[str, Any] = Field(default_factory=dict)
    n_images: int = 0
    """Images it was asked on."""
    signal: float | None = None
    change: Difference | None = None
    explains: bool | None = None
    """Whether the answers are clearly better, by half of what they fall short or more."""
    reason: str | None = None


class Counterfactuals(Record):
    """The model asked again under each alternative input that its family knows: all on a few images, the best of them
    on the `n_images` that test, which `asked` and `short` are of.
    """

    n_images: int
    judged_on: Literal["likeliest", "said"]
    asked: float
    """Signal of the answers under the input as it is."""
    short: float
    """Signal that the answers, which count from 0, fall short of what was readable before them: at tower, connector or
    LLM, or, where the tower's link fails, in the reference."""
    named: str | None = None
    """The alternative that explains the loss, if one does; of several the best."""
    rivals: list[str] = Field(default_factory=list)
    """Alternatives that explain it alike and have no setting in common. None is named then: two changes that have
    nothing to do with each other cannot both be the fault, so either may only make up for one elsewhere."""
    passes: float = 0.0
    """Images that went through the model, by image of the sample."""
    tried: list[Alternative] = Field(default_factory=list)
    reason: str | None = None
    """Why nothing was asked."""


class Pixels(Record):
    """What reaches the tower: mean and standard deviation of the pixel values over a sample of `n_images`, and how the
    processor's numbers compare with the published ones of the model's family or base.
    """

    n_images: int
    mean: float
    deviation: float
    differs: list[Key] = Field(default_factory=list)
    """Settings that are not the published ones: `theirs` is the published value."""


class Cause(Record):
    """Where the loss comes from, as far as a swap or a counterfactual input has shown it.

    With a second checkpoint (`against`), `effects` are Shapley values over the five places, in signal of the answer
    (`judged_on`), and sum to `difference`: the second checkpoint as it ships less the model. Judged on `said` they are
    the means of gain and loss, which are Shapley values where places interact in pairs only. They are null where
    nothing could be swapped. `reason` says why `module` is named, or why none is. A place that could be swapped in one
    direction only is not in `swaps`, and nothing is certain then.
    """

    against: str | None = None
    found_by: Literal["swap", "counterfactual"] | None = None
    certain: bool = False
    """Whether `module` has been shown to be the cause. Probes alone never show it."""
    module: Place | None = None
    reason: str
    key: str | None = None
    """The setting that makes the difference, where the cause is the input and one setting alone gives it back."""
    judged_on: Literal["likeliest", "said"] = "likeliest"
    """Whether answers are judged by the likeliest option or by the text."""
    shipped: Shipped | None = None
    effects: Modules | None = None
    ci: dict[Place, tuple[float, float]] = Field(default_factory=dict)
    layer: int | None = None
    """The last layer of the shortest prefix tried that gives back half of what the whole named module does; null where
    no module is named or it has one layer."""
    difference: float | None = None
    difference_ci: tuple[float, float] | None = None
    swaps: dict[Place, Swap] = Field(default_factory=dict)
    hybrids: list[Hybrid] = Field(default_factory=list)
    prefixes: list[Prefix] = Field(default_factory=list)
    keys: list[Key] = Field(default_factory=list)
    """Settings of the input that the two checkpoints have otherwise."""
    n_images: int = 0


class Diagnosis(Record):
    model: str
    revision: str | None
    dataset: str
    n_images: int = 0
    n_excluded: int = 0
    n_groups: int = 0
    excluded: list[Excluded] = Field(default_factory=list)
    contamination: Literal["held_out", "unknown"] = "unknown"
    error: str | None = None
    verdict: VerdictValue | None = None
    primary_failure_mode: FailureMode | None = None
    tied: list[FailureMode] = Field(default_factory=list)
    failure_modes: FailureModes | None = None
    accuracy: Accuracy | None = None
    signal: Chain | None = None
    signal_ci: dict[str, tuple[float, float]] = Field(default_factory=dict)
    minimum_loss: float | None = None
    """The smallest loss, in signal, that this many images can tell from none."""
    classes: list[str] = Field(default_factory=list)
    confusion: dict[str, list[list[int]]] = Field(default_factory=dict)
    """For each place of the chain a matrix: rows are the true class, columns what was read; the answer has a last
    column for text that names no class."""
    sensitivity: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """For each place of the chain and each class: the share of the class's images that are read as the class."""
    specificity: dict[str, dict[str, Share]] = Field(default_factory=dict)
    """For each place of the chain and each class: the share of the other images that are not read as the class."""
    curves: Curves | None = None
    health: Health | None = None
    health_limits: list[HealthLimit] = Field(default_factory=list)
    """The least scores asked for; empty unless the thresholds set any."""
    answer: AnswerReading | None = None
    exits: dict[str, Exit] = Field(default_factory=dict)
    reference: Reference | None = None
    cautions: list[str] = Field(default_factory=list)
    controls: Controls | None = None
    regression: Regression | None = None
    cause: Cause | None = None
    """Null where no second checkpoint was given and no link fails whose cause is open."""
    counterfactuals: Counterfactuals | None = None
    pixels: Pixels | None = None
    treatments: Treatments | None = None
    grounding: Grounding | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """What a repetition needs: probe, seed, folds, dtype, device, batch size, prompt, fingerprints."""
    timing: dict[str, float] = Field(default_factory=dict)


class Predictions(Record):
    """What was read of every image, out of fold: enough to repeat every verdict and to pair two runs image by image."""

    model: str
    dataset: str
    data_fingerprint: str
    prompt: str
    probe: str
    classes: list[str]
    images: list[str]
    """Keyed hashes."""
    labels: list[int]
    groups: list[int]
    places: dict[str, list[int]]
    """The class read at each place of the chain; -1 where the answer names none."""
    exits: dict[Stage, list[list[int]]]
    """The class read at each probe exit from its own readouts, one list a fold seed; the first is the diagnosis's own
    folds, further ones are there where a baseline was compared or saved."""
    loci: dict[str, list[int]]
    """The class read at each locus, of which the curves are made."""
    made: dict[str, str]
    """Device, dtype and batch size of the forward passes."""


class Report(Record):
    schema_version: Literal[1] = Field(default=1, alias="schema")
    suite: dict[str, Any]
    verdict: VerdictValue | None
    gate: Gate = "absolute"
    """Whose verdict it is."""
    outdated: list[str] = Field(default_factory=list)
    """Accepted failures that pass, a sentence each; their checks are red, whatever the verdict."""
    diagnoses: list[Diagnosis]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)


def worst(verdicts: list[VerdictValue | None]) -> VerdictValue | None:
    """The verdict of a whole: null on any error, else fail over inconclusive over pass."""
    if not verdicts or None in verdicts:
        return None
    return next(value for value in ("fail", "inconclusive", "pass") if value in verdicts)
