"""What is required of a model whatever was there before: the least value of each measure of its answer."""

from __future__ import annotations

from collections.abc import Mapping

from medprobe.diagnostics.records.chain import VerdictValue
from medprobe.diagnostics.records.least import Criterion
from medprobe.diagnostics.records.scores import Measured
from medprobe.diagnostics.required import spoken

NOT_MEASURED = Measured(reason="the manifest does not ask for it")
"""Operating points alone are read on request."""


def judge(asked: Mapping[str, float], measured: Mapping[str, Measured]) -> list[Criterion]:
    """Each criterion by the 95 percent interval over patient groups: pass where all of it is at least what is asked,
    fail where all of it is less, else inconclusive."""
    return [_judged(name, least, measured.get(name, NOT_MEASURED)) for name, least in asked.items()]


def _judged(name: str, least: float, read: Measured) -> Criterion:
    asked, unit = f"at least {_shown(name, least)}", " percent" if _is_share(name) else ""
    told = spoken(name)
    if read.value is None or read.ci is None:
        verdict: VerdictValue = "inconclusive"
        reason = f"{told} could not be measured ({read.reason or 'nothing was read'}), {asked}{unit} is required"
    else:
        low, high = read.ci
        verdict = "pass" if low >= least else "fail" if high < least else "inconclusive"
        value, *bounds = (_shown(name, number, fixed=True) for number in (read.value, low, high))
        found = f"{told} {value}{unit} ({' to '.join(bounds)})"
        about = {
            "pass": f"{asked} as required",
            "fail": f"less than the {_shown(name, least)} required",
            "inconclusive": f"these images cannot tell whether it is {asked}",
        }
        reason = f"{found}, {about[verdict]}"
    return Criterion(name=name, least=least, value=read.value, ci=read.ci, verdict=verdict, reason=reason)


def _is_share(name: str) -> bool:
    """Whether a measure is a share of images, which is told in percent."""
    return not {"sensitivity", "specificity"}.isdisjoint(name.split(".")[:2])


def _shown(name: str, value: float, fixed: bool = False) -> str:
    if _is_share(name):
        return f"{100 * value:.1f}" if fixed else f"{100 * value:g}"
    return f"{value:.3f}" if fixed else f"{value:g}"
