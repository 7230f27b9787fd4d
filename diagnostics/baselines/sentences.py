"""What a comparison with a baseline found, in words: everything that speaks of one takes them from here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isclose
from typing import TYPE_CHECKING

from medprobe.diagnostics.records.chain import STAGES, HealthLimit, Measure, Stage
from medprobe.diagnostics.records.regression import Change, ChangeValue, ClassChange, Pooled, Regression
from medprobe.diagnostics.records.subgroups import StratumChange

if TYPE_CHECKING:
    from medprobe.diagnostics.baselines.criteria import Accepted


def all_changes(found: Regression) -> list[tuple[str, Change, float]]:
    """Everything that was compared, with the loss of it that is accepted: places by name, then `sensitivity for
    malignant`.
    """
    tables = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    exits: list[tuple[str, Change, float]] = [
        (stage, found.exits[stage], found.minimum_effect) for stage in STAGES if stage in found.exits
    ]
    return exits + [
        (f"{measure} for {name}", change, change.margin)
        for measure, table in tables.items()
        for name, change in table.items()
    ]


def needed_text(needed: Mapping[str, int]) -> str:
    """`2,702 malignant`: the images of each class."""
    return ", ".join(f"{count:,} {name}" for name, count in needed.items())


def needed_sentences(found: Regression) -> list[str]:
    """What this set clears of each criterion that decides, and the images that would decide it, a sentence each."""
    return [
        f"{f'signal of the {_name(name)}' if name in STAGES else name}: this set clears losses of "
        f"{100 * c.clears:.3g} points and more; {needed_text(c.needed)} images decide {100 * c.asked:.3g} points"
        for name, c, _ in all_changes(found)
        if name not in found.exits or name in found.deciding
        if c.clears is not None
        if c.asked is not None
    ]


def class_changes(
    sensitivity: Mapping[str, ClassChange], specificity: Mapping[str, ClassChange]
) -> list[tuple[str, ClassChange]]:
    """`sensitivity for malignant` with its change, sensitivities first. Of two classes whose images are all read as one
    or the other, the specificity of one is the sensitivity of the other: told once where both are judged alike."""
    names = list(sensitivity)
    other = dict(zip(names, reversed(names), strict=True)) if len(names) == 2 else {}
    told: list[tuple[Measure, str, ClassChange]] = [("sensitivity", name, c) for name, c in sensitivity.items()]
    for name, change in specificity.items():
        mirror = sensitivity.get(other.get(name, ""))
        alike = (
            mirror is not None
            and mirror.verdict == change.verdict
            and isclose(mirror.change, change.change, abs_tol=1e-9)
        )
        if not alike:
            told.append(("specificity", name, change))
    return [(f"{measure} for {name}", change) for measure, name, change in told]


def reason(
    exits: Mapping[Stage, Change],
    sensitivity: Mapping[str, ClassChange],
    specificity: Mapping[str, ClassChange],
    drops: Sequence[HealthLimit],
    accepted: Accepted,
    otherwise: Mapping[str, tuple[str, str]],
    deciding: Sequence[Stage],
) -> str:
    """What was found, the worst first; points of signal, and of the images of a class."""
    classes = class_changes(sensitivity, specificity)
    asked, least = f"{100 * accepted.asked:g} points", f"{100 * accepted.margin:g} points"
    decide = {stage: change for stage, change in exits.items() if stage in deciding}
    advise = {stage: change for stage, change in exits.items() if stage not in deciding}
    parts = []
    if lost := [f"{name}, {_fully(c)}" for name, c in classes if c.verdict == "regressed"]:
        parts.append(" and ".join(lost))
    parts += _places(decide, "regressed", f"more than {asked} are lost at")
    if open_ := [
        f"{100 * c.margin:g} points of {name} ({_points(c)})" for name, c in classes if c.verdict == "inconclusive"
    ]:
        parts.append(f"it cannot be told whether more than {' or '.join(open_)} are lost")
    parts += _places(decide, "inconclusive", f"it cannot be told whether more than {least} are lost at")
    if gained := [f"{name} ({_points(c)})" for name, c in classes if c.verdict == "improved"]:
        parts.append(f"gained: {' and '.join(gained)}")
    parts += _places(decide, "improved", "more is read at")
    parts += [drop.reason for drop in drops if drop.verdict != "pass"]
    held = ("not_regressed", "improved")
    if all(change.verdict in held for change in decide.values()):
        kept = classes and all(change.verdict in held for _, change in classes)
        each = ", nor more than its margin of any class's sensitivity and specificity" if kept else ""
        parts.insert(
            1 if lost else 0,
            f"no more than {least} of signal are lost at {_joined([f'the {_name(stage)}' for stage in decide])}{each}; "
            f"the answer changed by {_points(exits['answer'])}",
        )
    parts += _widened(accepted, classes)
    parts += _places(advise, "regressed", f"as advice, which decides nothing: more than {asked} are lost at")
    if otherwise:
        differs = ", ".join(f"{name.replace('_', ' ')} {was}, here {is_}" for name, (was, is_) in otherwise.items())
        parts.append(
            f"the baseline was made otherwise ({differs}), so a regression must exceed {200 * accepted.asked:g} points"
            + (" of signal and twice the margin of a class" if classes else "")
        )
    return "; ".join(parts)


def _widened(accepted: Accepted, classes: Sequence[tuple[str, ClassChange]]) -> list[str]:
    """What the set clears where that is more than was asked and no team wrote the margin."""
    of_class = [(name, c) for name, c in classes if c.asked is not None and c.margin > c.asked]
    clears, mend = [], []
    if accepted.widened:
        clears.append(f"{100 * accepted.margin:.3g} points of signal")
        mend.append("[regression] minimum_effect")
    if of_class:
        name, widest = max(of_class, key=lambda pair: pair[1].margin)
        most = "at most " if len(of_class) > 1 else ""
        clears.append(f"{most}{100 * widest.margin:.3g} points of a class ({name})")
        mend += dict.fromkeys(f"[{name.split()[0]}]" for name, _ in of_class)
    if not clears:
        return []
    return [f"this set clears losses of {' and of '.join(clears)}; give more images, or write {_joined(mend)}"]


def _joined(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])


def compared_text(found: Regression) -> str:
    """`regressed against release.json: sensitivity for malignant -15 (-18.1 to -11.9)`: what decided, in a line."""
    told: list[tuple[str, Change]] = [*class_changes(found.sensitivity, found.specificity)]
    told += [(_name(stage), change) for stage, change in found.exits.items() if stage in found.deciding]
    decisive = [f"{name} {_short(c)}" for name, c in told if c.verdict == found.verdict]
    if found.verdict == "not_regressed":
        answer = found.exits.get("answer")
        decisive = [] if answer is None else [f"answer {_short(answer)}"]
    wanted = {"regressed": "fail", "inconclusive": "inconclusive"}.get(found.verdict)
    decisive += [drop.reason for drop in found.health_drops if drop.verdict == wanted]
    if (strata := stratum_text(found.strata)) and found.verdict == "regressed":
        decisive.insert(0, strata)
    where = f": {', '.join(decisive)}" if decisive else ""
    return f"{found.verdict.replace('_', ' ')} against {found.baseline.file}{where}"


def pooled_text(found: Pooled) -> str:
    """What several data sets say together of the answer; it decides nothing beside the single ones."""
    low, high = (100 * bound for bound in found.ci)
    cleared = f"; together they clear losses of {100 * found.margin:.3g} points and more"
    return (
        f"{found.model} over {', '.join(found.datasets)}: {found.verdict.replace('_', ' ')}: the answer changed by "
        f"{100 * found.change:+.1f} ({low:+.1f} to {high:+.1f}) points{cleared if found.margin > found.asked else ''}"
    )


def stratum_text(changes: Sequence[StratumChange]) -> str:
    """`sensitivity for malignant in sex female, -24.0 points (...), and 1 more`; empty where none regressed."""
    lost = sorted((one for one in changes if one.verdict == "regressed"), key=lambda one: one.change)
    if not lost:
        return ""
    first, more = lost[0], f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    low, high = (100 * bound for bound in first.ci)
    what = "signal of the answer" if first.of is None else f"{first.measure} for {first.of}"
    where = f"{what} in {first.attribute} {first.value}"
    return f"{where}, {100 * first.change:+.1f} points ({low:+.1f} to {high:+.1f}){more}"


def _places(exits: Mapping[Stage, Change], verdict: ChangeValue, said: str) -> list[str]:
    where = [f"the {_name(stage)} ({_points(c)})" for stage, c in exits.items() if c.verdict == verdict]
    return [f"{said} {' and '.join(where)}"] if where else []


def _name(stage: str) -> str:
    return stage if stage == "answer" else f"{stage} exit"


def _interval(change: Change) -> str:
    low, high = (100 * bound for bound in change.ci)
    return f"{low:+.1f} to {high:+.1f}"


def _whole(change: Change) -> str:
    """Points with a sign, without a decimal that says nothing."""
    return f"{100 * change.change:+.1f}".removesuffix(".0")


def _points(change: Change) -> str:
    return f"{100 * change.change:+.1f}, {_interval(change)}, p {change.p_adjusted:.2g}"


def _fully(change: ClassChange) -> str:
    """`-15 points, 95.0 to 80.0 (-18.1 to -11.9, p 0.0002)`."""
    moved = f"{100 * change.before:.1f} to {100 * change.after:.1f}"
    return f"{_whole(change)} points, {moved} percent ({_interval(change)}, p {change.p_adjusted:.2g})"


def _short(change: Change) -> str:
    return f"{_whole(change)} ({_interval(change)})"
