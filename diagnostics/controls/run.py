"""All controls of one diagnosis."""

from __future__ import annotations

from medprobe.diagnostics.controls import control_task, floors, null, twin
from medprobe.diagnostics.controls.twin import Seen, unseen
from medprobe.diagnostics.evidence import Evidence
from medprobe.diagnostics.records.controls import Controls


def run(evidence: Evidence, see: Seen = unseen) -> tuple[Controls, list[str]]:
    """The record of the controls, and the cautions they give. `see` is shown every picture that is decoded for them."""
    facts, cautions = floors.file_facts(evidence)
    controls = Controls(
        asked=evidence.settings.controls,
        null=null.of_reference(evidence),
        pixels=floors.pixels(evidence),
        file_facts=facts,
        twin=twin.run(evidence, see),
        control_task=control_task.run(evidence),
    )
    return controls, cautions
