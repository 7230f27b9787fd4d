"""Where things lie in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GUIDES, REFERENCE, STUDIES = DOCS / "guides", DOCS / "reference", DOCS / "studies"
SCHEMA = REFERENCE / "report.schema.json"
ACCEPTANCE_SCHEMA = REFERENCE / "acceptance.schema.json"
RESULTS = ROOT / "benchmarks" / "results"
