"""Records as tables of pandas, which is imported here alone and when a table is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from medprobe.fixtures.errors import MedprobeError

if TYPE_CHECKING:
    from pandas import DataFrame


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> DataFrame:
    """A row a mapping; the columns are there without any row too. Raises MedprobeError without pandas."""
    try:
        import pandas
    except ImportError:
        raise MedprobeError("tables need the package pandas: pip install 'medprobe[frames]'") from None
    return pandas.DataFrame(list(rows), columns=list(columns))


def flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a record by their path, as `failure_modes.connector_fidelity_loss.loss`; an interval `ci` is
    `ci.low` and `ci.high`.
    """
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        elif name == "ci":
            low, high = value or (None, None)
            yield from ((f"{prefix}ci.low", low), (f"{prefix}ci.high", high))
        else:
            yield f"{prefix}{name}", value
