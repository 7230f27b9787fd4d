"""The published JSON schema of `report.json`, made from the records.

python -m medprobe.plugins.report.outputs.schema    # writes it anew

It lies here so that it is in the wheel; docs/reference links to it.
"""

from __future__ import annotations

import json
from pathlib import Path

from medprobe.diagnostics.records.report import Report
from medprobe.fixtures.whole import write_text

SCHEMA_PATH = Path(__file__).with_name("report.schema.json")


def schema_json() -> str:
    schema = Report.model_json_schema(by_alias=True, mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "medprobe report, schema 1"}
    return json.dumps(head | {key: value for key, value in schema.items() if key != "title"}, indent=2) + "\n"


if __name__ == "__main__":
    print(write_text(SCHEMA_PATH, schema_json()))
