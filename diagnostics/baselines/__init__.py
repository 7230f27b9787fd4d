"""Saved runs, and whether a later one reads worse."""
