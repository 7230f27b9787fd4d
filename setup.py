"""The wheel: the package `medprobe`, and the suite in it as a folder, as it stands in a checkout."""

from setuptools import find_packages, setup

PARTS = find_packages(include=["diagnostics*", "fixtures*", "plugins*"])

setup(
    packages=["medprobe", "medprobe.suite", *(f"medprobe.suite.{part}" for part in PARTS)],
    package_dir={"medprobe": "medprobe", "medprobe.suite": "."},
    package_data={"": ["*.toml", "templates/*", "weights/*"]},
)
