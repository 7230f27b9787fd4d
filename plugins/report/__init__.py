"""What people look at: `report.json`, the pages, the terminal summary. Nothing here imports torch."""
