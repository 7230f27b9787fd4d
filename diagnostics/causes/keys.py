"""Which settings of the input are tried one at a time, and which of them is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medprobe.diagnostics.causes.judgement import RECOVERED, Signals
from medprobe.diagnostics.judgement.resamples import ALPHA
from medprobe.diagnostics.records.cause import Key
from medprobe.diagnostics.records.chain import Difference
from medprobe.fixtures.models.input_settings import SettingDifference

MOST = 12
"""Settings, and groups of them, that are tried; each costs one pass over the images."""
LONGEST = 80
"""Characters of a value that are shown."""
BEFORE = 24
"""Characters shown of a long text before the first that differs."""

PIXELS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
SIZES = ("size", "crop_size", "do_resize", "do_center_crop", "do_pad", "min_pixels", "max_pixels")
TOKENS = (
    "vision_feature_select_strategy",
    "mm_tokens_per_image",
    "image_seq_length",
    "image_seq_len",
    "num_additional_image_tokens",
    "patch_size",
    "merge_size",
    "spatial_merge_size",
    "scale_factor",
    "downsample_ratio",
)
TOGETHER = (("image_mean", "image_std"), PIXELS, SIZES, TOKENS)
"""Settings that belong together: what one is worth depends on the others."""
TELLING = (
    *PIXELS,
    *SIZES,
    "do_convert_rgb",
    "chat_template",
    "vision_feature_layer",
    *TOKENS,
    "rope_theta",
    "rope_parameters",
)
"""The most telling first: what reaches the tower, what the model is asked, which layer is read."""


@dataclass(frozen=True)
class Trial:
    """Settings that are put into the model from the second checkpoint, the rest staying as it is."""

    settings: tuple[SettingDifference, ...]

    @property
    def changes(self) -> dict[str, Any]:
        return {setting.path: setting.theirs for setting in self.settings}

    @property
    def path(self) -> str:
        return " and ".join(setting.path for setting in self.settings)


def trials(differing: Sequence[SettingDifference]) -> list[Trial]:
    """At most MOST: every setting alone, the most telling first, and after the last of its members each group."""
    ordered = sorted(differing, key=lambda setting: (_rank(setting.path), setting.path))
    groups = [[s for s in ordered if _leaf(s.path) == leaf] for leaf in dict.fromkeys(_leaf(s.path) for s in ordered)]
    groups += [[s for s in ordered if _belongs(s.path, names)] for names in TOGETHER]
    found = [Trial((setting,)) for setting in ordered]
    for group in groups:
        made = Trial(tuple(group))
        if len(group) > 1 and made not in found:
            found.insert(found.index(Trial((group[-1],))) + 1, made)
    return found[:MOST]


def untried(differing: Sequence[SettingDifference], reason: str) -> list[Key]:
    """The settings that differ, none swapped, and why."""
    return [_key(Trial((setting,)), reason=reason) for setting in differing]


def tried(
    differing: Sequence[SettingDifference], made: Sequence[Trial], failed: Sequence[str | None], signals: Signals
) -> list[Key]:
    """The settings that differ, with the signal of the model under each that was tried; those not tried come last.

    `signals` are of the model as it is, then of every trial. The interval of a change counts all trials (Bonferroni).
    """
    n = len(made)
    keys = []
    for i, (trial, why) in enumerate(zip(made, failed, strict=True), 1):
        if why is not None:
            keys.append(_key(trial, reason=f"cannot be swapped alone: {why}"))
            continue
        low, high = np.quantile(signals.drawn[i] - signals.drawn[0], [ALPHA / n / 2, 1 - ALPHA / n / 2])
        change = Difference(change=float(signals.point[i] - signals.point[0]), ci=(float(low), float(high)))
        keys.append(_key(trial, signal=float(signals.point[i]), change=change))
    known = {setting for trial in made if len(trial.settings) == 1 for setting in _paths(trial)}
    rest = [setting for setting in differing if setting.path not in known]
    return keys + untried(rest, f"not tried: {n} others come first")


def named(
    keys: Sequence[Key], made: Sequence[Trial], failed: Sequence[str | None], signals: Signals, whole: float
) -> str | None:
    """The setting, or group, that alone gives back at least RECOVERED of `whole`, what the whole input gives the model,
    and is clearly the best or the only one; of those that are not clearly worse than the best the one of fewest
    settings.
    """
    held = [
        i
        for i, (key, why) in enumerate(zip(keys, failed, strict=False), 1)
        if why is None and key.change is not None and key.change.ci[0] > 0 and key.change.change >= RECOVERED * whole
    ]
    if not held:
        return None
    best = max(held, key=lambda i: signals.point[i])
    ties = [i for i in held if np.quantile(signals.drawn[best] - signals.drawn[i], ALPHA / 2) <= 0]
    fewest = min(len(made[i - 1].settings) for i in ties)
    simplest = [i for i in ties if len(made[i - 1].settings) == fewest]
    return made[simplest[0] - 1].path if len(simplest) == 1 else None


def _key(trial: Trial, **found: Any) -> Key:
    pairs = [_shown(setting.ours, setting.theirs) for setting in trial.settings]
    ours, theirs = (list(side) if len(pairs) > 1 else side[0] for side in zip(*pairs, strict=True))
    return Key(path=trial.path, ours=ours, theirs=theirs, **found)


def _shown(ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Both values, long ones cut to where they begin to differ."""
    if all(len(_text(value)) <= LONGEST for value in (ours, theirs)):
        return ours, theirs
    one, other = _text(ours), _text(theirs)
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, same - BEFORE)
    return _cut(ours, start), _cut(theirs, start)


def _cut(value: Any, start: int) -> Any:
    text = _text(value)
    if value is None:
        return None
    window = text[start : start + LONGEST]
    return f"{'...' if start else ''}{window}{'...' if start + LONGEST < len(text) else ''}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _paths(trial: Trial) -> list[str]:
    return [setting.path for setting in trial.settings]


def _leaf(path: str) -> str:
    return path.rpartition(".")[2]


def _belongs(path: str, names: Sequence[str]) -> bool:
    return any(part in names for part in path.split("."))


def _rank(path: str) -> int:
    return next((i for i, name in enumerate(TELLING) if name in path.split(".")), len(TELLING))
