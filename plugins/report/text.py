"""Numbers as text. What was not measured is said to be so, never shown as 0."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "not measured"
MINUS = "\N{MINUS SIGN}"


def known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def number(value: float | None, digits: int = 2, missing: str = MISSING) -> str:
    """A fixed number of decimals, with a real minus sign and no negative zero."""
    if value is None or not math.isfinite(value):
        return missing
    text = f"{value:.{digits}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def points(signal: float | None, missing: str = MISSING) -> str:
    """Signal as points: 0 is guessing, 100 every image right."""
    return number(None if signal is None else signal * 100, 1, missing)


def signed(difference: float | None, missing: str = MISSING) -> str:
    """A difference of signal as points, with its sign."""
    text = points(difference, missing)
    return text if text == missing or text.startswith(MINUS) or not text.strip("0.") else f"+{text}"


def shown(signal: float | None, flag: str = " (below chance)", missing: str = MISSING) -> str:
    """A place's signal as it is shown: below chance reads 0, with a flag; in differences it counts as it is."""
    if signal is not None and round(signal * 1000) < 0:
        return f"0.0{flag}"
    return points(signal, missing)


def percent(share: float | None, digits: int = 0, missing: str = MISSING) -> str:
    text = number(None if share is None else share * 100, digits, missing)
    return text if text == missing else f"{text}%"


def interval(bounds: Iterable[float] | None, scale: float = 100, digits: int = 1, missing: str = MISSING) -> str:
    """`41.0 to 52.1`."""
    if bounds is None:
        return missing
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high)):
        return missing
    return f"{number(low * scale, digits)} to {number(high * scale, digits)}"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def joined(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    words = list(items)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
