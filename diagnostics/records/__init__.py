"""The records of report.json. They import nothing but pydantic, so that reading a report is cheap."""
