"""The control task: labels that only who knows the patient can tell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from medprobe.diagnostics.controls import control_task
from medprobe.diagnostics.evidence import Evidence


def test_labels_are_the_patients_and_folds_part_patients() -> None:
    groups = np.repeat(np.arange(20), 4)
    drawn, folds = control_task.task(groups % 2, groups, 5, 0)
    assert all(len(set(drawn[groups == g])) == 1 for g in range(20))
    assert (drawn != groups % 2).any()
    assert np.mean([len(set(folds[groups == g])) > 1 for g in range(20)]) > 0.8


def test_selectivity_is_real_minus_control(phantoms: Path, evidence_of: Callable[[Path], Evidence]) -> None:
    evidence = evidence_of(phantoms)
    found = control_task.run(evidence)
    assert found.shared == 1
    assert {locus.split(".")[0] for locus in found.loci} == {"vision", "connector", "llm"}
    for locus, one in found.loci.items():
        assert one.real == evidence.signal(evidence.readings[locus].predictions)
        assert one.selectivity == one.real - one.control


def test_it_does_not_apply_where_patients_have_one_image(
    phantoms: Path, evidence_of: Callable[[Path], Evidence]
) -> None:
    evidence = evidence_of(phantoms)
    found = control_task.run(replace(evidence, groups=np.arange(len(evidence.groups))))
    assert (found.shared, found.loci) == (0, {})
    assert found.reason is not None
