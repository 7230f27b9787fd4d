"""Numbers as text. What was not measured is said to be so, never shown as 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

MISSING = "not measured"
NOT_GIVEN = "not given"
MARKS = {"pass": "\N{CHECK MARK}", "fail": "\N{MULTIPLICATION X}", "inconclusive": "?", "error": "!", "not judged": "?"}
MOST_ITEMS = 40
"""A longer list is counted, not printed."""
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


def plain(value: Any) -> str:
    """A value of a free table as text; long lists are counted, not printed."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 4) if abs(value) >= 1e-3 or value == 0 else f"{value:.2g}"
    if isinstance(value, list | tuple):
        if len(value) > MOST_ITEMS:
            return f"{len(value)} values, in report.json"
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def flat(table: dict[str, Any] | None, prefix: str = "", missing: str = MISSING) -> list[tuple[str, str]]:
    """A free table as rows, nested names joined by dots."""
    rows: list[tuple[str, str]] = []
    for key, value in (table or {}).items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            rows += flat(value, f"{name}.", missing)
        else:
            rows.append((name, "none" if value == {} else missing if value is None else plain(value)))
    return rows
