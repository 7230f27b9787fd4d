"""The `medprobe` command, and what lets the suite run where it lies: in a checkout, or as a folder in the wheel.

PYTEST_DONT_REWRITE: the command has imported this before pytest could rewrite its assertions.
"""
