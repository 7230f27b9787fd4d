"""The wheel: the package `medprobe`, and the suite in it as a folder, as it stands in a checkout."""

from setuptools import find_namespace_packages, setup

SUITE = "medprobe.suite"
PARTS = find_namespace_packages(include=["diagnostics*", "fixtures*", "plugins*"], exclude=["*.__pycache__*"])

setup(
    script_name="setup.py",  # so that this file is known not to be a part of the suite
    packages=["medprobe", SUITE, *(f"{SUITE}.{part}" for part in PARTS)],
    package_dir={"medprobe": "medprobe", SUITE: "."},
    package_data={SUITE: ["pyproject.toml"], **{f"{SUITE}.{part}": ["*"] for part in PARTS}},
)
