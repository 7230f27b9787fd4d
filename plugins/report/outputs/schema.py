"""The published JSON schema of `report.json`: `python -m plugins.report.schema` writes it from the records."""

from __future__ import annotations

import json
from pathlib import Path

from diagnostics.records import Report
from plugins.report.files import write_text

SCHEMA_PATH = Path(__file__).resolve().parents[2] / "docs" / "report.schema.json"


def schema_json() -> str:
    schema = Report.model_json_schema(by_alias=True, mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "medprobe report, schema 1"}
    return json.dumps(head | {key: value for key, value in schema.items() if key != "title"}, indent=2) + "\n"


if __name__ == "__main__":
    print(write_text(SCHEMA_PATH, schema_json()))
