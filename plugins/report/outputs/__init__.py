"""What is written: pages, report.json, and the lines in the terminal."""
