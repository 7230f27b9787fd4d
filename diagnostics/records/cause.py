"""The records of the cause: modules and inputs swapped, and other inputs that were asked under."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from medprobe.diagnostics.records.chain import Difference, Place, Record


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
