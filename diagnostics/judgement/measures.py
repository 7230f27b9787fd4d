"""Every measure of a diagnosis by one name: `sensitivity.malignant`."""

from __future__ import annotations

from medprobe.diagnostics.records.report import Diagnosis
from medprobe.diagnostics.records.scores import Measured


def measures(diagnosis: Diagnosis) -> dict[str, Measured]:
    """The measures of the answer with their intervals, by name; empty where the diagnosis ended in an error."""
    found = {}
    for measure, table in (("sensitivity", diagnosis.sensitivity), ("specificity", diagnosis.specificity)):
        for name, share in table.get("answer", {}).items():
            found[f"{measure}.{name}"] = Measured(value=share.value, ci=share.ci)
    return found
