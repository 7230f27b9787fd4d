"""Numbers that a user types, as argparse types: what makes no sense is refused before anything is read."""

from __future__ import annotations

import argparse
import math


def share(text: str) -> float:
    """A share between 0 and 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share between 0 and 1")
    return value


def count(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return value


def seed(text: str) -> int:
    """A whole number that numpy and scikit-learn both take as a seed."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to {2**32 - 1}")
    return value


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def amount(text: str) -> float:
    """A finite number, 0 or more."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return value


def error_code(text: str) -> int:
    """An exit code that is neither pytest's, 0 to 5, nor a shell's, from 126 on."""
    value = int(text)
    if not 6 <= value <= 125:
        raise argparse.ArgumentTypeError(f"{text} is not an exit code from 6 to 125: pytest and shells use the others")
    return value
