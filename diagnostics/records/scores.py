"""The records of scores."""

from __future__ import annotations

from medprobe.diagnostics.records.chain import Record


class Measured(Record):
    """A value with its 95 percent interval over patient groups. What could not be computed is null, with the reason."""

    value: float | None = None
    ci: tuple[float, float] | None = None
    reason: str | None = None
