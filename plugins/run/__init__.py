"""What happens while the suite runs: which checks are collected, where, and what a run leaves behind."""
