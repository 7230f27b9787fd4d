PYTHON ?= python3
BIN := .venv/bin

diagnose: .venv/ready  ## diagnose the embedded phantom
	$(BIN)/pytest --model phantom

test: .venv/ready  ## the suite's own tests
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -n 2

check: .venv/ready  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/ready: pyproject.toml setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

.PHONY: diagnose test check
