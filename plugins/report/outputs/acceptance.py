"""`acceptance.json` and the page to print and sign, and the schema of the former.

python -m medprobe.plugins.report.outputs.acceptance    # writes the schema anew
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from medprobe.diagnostics.acceptance.criteria import CriteriaFile
from medprobe.diagnostics.acceptance.judge import decision_of, judged
from medprobe.diagnostics.outside_text import one_line
from medprobe.diagnostics.records.acceptance import Acceptance, CriteriaHeld, Made
from medprobe.diagnostics.records.report import Report
from medprobe.fixtures.whole import write_text
from medprobe.plugins.report.outputs.rendering import environment
from medprobe.plugins.report.sections.acceptance import WORDS, view

FILE, PAGE = "acceptance.json", "acceptance.html"
SCHEMA_PATH = Path(__file__).with_name("acceptance.schema.json")
HOME = Path(__file__).resolve().parents[3]
CODE = ("diagnostics", "fixtures", "plugins")
"""Folders whose files are what measures and judges."""


def record(report: Report, criteria: CriteriaFile, moment: datetime) -> Acceptance:
    """The acceptance record of a run. `moment` is when it was judged."""
    models = [judged(diagnosis, criteria) for diagnosis in report.diagnoses]
    decision = decision_of(models)
    whys = [
        (f"{model.model} on {model.dataset}: " if len(models) > 1 else "") + model.why
        for model in models
        if model.decision == decision
    ]
    versions = {name: version for name, version in report.suite.get("versions", {}).items() if version is not None}
    system = {"system": platform.system(), "architecture": platform.machine(), "python": platform.python_version()}
    return Acceptance(
        decision=decision,
        why="; ".join(whys),
        criteria=CriteriaHeld(sha256=criteria.sha256, fixed=criteria.written.fixed, purpose=criteria.written.purpose),
        judged=moment.replace(microsecond=0),
        gate=report.gate,
        seed=report.suite.get("seed", 0),
        suite=_made({**versions, "code": code_fingerprint()}),
        machine=_made(system),
        models=models,
    )


def write(found: Acceptance, folder: Path) -> list[Path]:
    """Writes the record and its page."""
    html = environment().get_template("acceptance.html").render(view(found))
    return [write_text(folder / FILE, acceptance_json(found)), write_text(folder / PAGE, html)]


def remove(folder: Path) -> None:
    """Takes away what an earlier run wrote, which says nothing of this one."""
    for name in (FILE, PAGE):
        (folder / name).unlink(missing_ok=True)


def acceptance_json(found: Acceptance) -> str:
    return json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sentence(found: Acceptance) -> str:
    """`not accepted: sensitivity for malignant ...`, with the hash of the criteria."""
    return one_line(f"{WORDS[found.decision]}: {found.why} (criteria sha256 {found.criteria.sha256})")


def schema_json() -> str:
    schema = Acceptance.model_json_schema(by_alias=True, mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "medprobe acceptance record, schema 1"}
    return json.dumps(head | {key: value for key, value in schema.items() if key != "title"}, indent=2) + "\n"


@cache
def code_fingerprint() -> str:
    """sha256 of the suite's own files with their places: the same in a checkout and when installed."""
    digest = hashlib.sha256()
    for part in CODE:
        for path in sorted(path for path in (HOME / part).rglob("*") if path.suffix in (".py", ".toml")):
            digest.update(f"{path.relative_to(HOME).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _made(facts: Mapping[str, str]) -> Made:
    text = json.dumps(facts, sort_keys=True)
    return Made(fingerprint=hashlib.sha256(text.encode()).hexdigest(), facts=dict(facts))


if __name__ == "__main__":
    print(write_text(SCHEMA_PATH, schema_json()))
