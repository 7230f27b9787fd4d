PYTHON ?= python3
BIN := .venv/bin
LOWEST := .venv-lowest
DOCS := .venv-docs
# What else pip is given, such as the versions that CI pins.
PIP_ARGUMENTS ?=

# Tests of the numbers: they load models, read features, fit probes and judge.
NUMERIC := \
	$(addprefix tests/families/test_, last_used_block.py extraction.py regions.py hybrids.py \
	planning.py::test_bytes_are_those_of_the_store) \
	$(addprefix tests/unit/diagnostics/, extraction/test_pooling.py probes/test_ridge.py probes/test_attention.py \
	test_scores.py judgement/test_exits.py judgement/test_verdicts.py judgement/test_health.py \
	causes/test_judgement.py causes/test_shapley.py controls/test_strata.py controls/test_twin.py \
	grounding/test_patching.py last_link/test_calibration.py treatments/test_remedies.py)
NUMERIC_UNITS := tests/families/test_last_used_block.py $(filter tests/unit/%,$(NUMERIC))

diagnose: .venv/ready  ## diagnose the embedded phantom
	$(BIN)/pytest --model phantom

unit: .venv/ready  ## the unit tests, which start no process
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit -m "not slow" -n 2

test: .venv/ready  ## the tests but for the slow ones, and the share of lines and branches that the unit tests run
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/unit -m "not slow" -n 2 --cov --cov-report=
	@echo "coverage of the unit tests: $$($(BIN)/coverage report --format=total) %"
	OMP_NUM_THREADS=1 $(BIN)/pytest tests --ignore tests/unit -m "not slow" -n 2

slow: .venv/ready  ## the slow tests: whole runs of every family, on workers, on a cluster, killed, with the paper's probe
	OMP_NUM_THREADS=1 $(BIN)/pytest tests -m slow -n 2

check: .venv/ready  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The plainest kernels of torch and OpenBLAS, which every x86-64 processor has; others round otherwise.
portable lowest: export ATEN_CPU_CAPABILITY = default
portable lowest: export OPENBLAS_CORETYPE = Prescott
portable: .venv/ready  ## the tests of the numbers as on another processor, with one thread, and most with two
	OMP_NUM_THREADS=1 $(BIN)/pytest $(NUMERIC) -n 2
	OMP_NUM_THREADS=2 $(BIN)/pytest $(NUMERIC_UNITS)

lowest: $(LOWEST)/ready  ## the same and a diagnosis, with the lowest versions that are allowed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest $(NUMERIC) -n 2
	OMP_NUM_THREADS=2 $(LOWEST)/bin/pytest $(NUMERIC_UNITS)
	rm -rf $(LOWEST)/store
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest --model phantom --store $(LOWEST)/store --report-dir $(LOWEST)/reports

LOCK := pyproject.toml --all-extras --group dev --python-version 3.11 --upgrade --no-annotate --quiet

lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: .venv/ready  ## write .ci/lowest.txt and .ci/newest.txt anew
	$(BIN)/uv pip compile $(LOCK) --resolution lowest-direct --output-file .ci/lowest.txt
	$(BIN)/uv pip compile $(LOCK) --resolution highest --output-file .ci/newest.txt

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev $(PIP_ARGUMENTS)
	touch $@

# Over .venv, which holds the newest: only what the two locks pin otherwise is installed, whatever the packages ask of each
# other. Two environments of torch would be 6 GB more and two minutes.
$(LOWEST)/ready: .ci/lowest.txt .ci/newest.txt .venv/ready
	$(PYTHON) -m venv --clear --without-pip $(LOWEST)
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $(LOWEST)/newest.pth
	mv $(LOWEST)/newest.pth $$($(LOWEST)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
	grep == .ci/lowest.txt | grep --invert-match --line-regexp --fixed-strings --file .ci/newest.txt > $(LOWEST)/otherwise.txt
	$(BIN)/python -m pip --python $(LOWEST)/bin/python install --quiet --no-deps --requirement $(LOWEST)/otherwise.txt
	$(BIN)/python -m pip --python $(LOWEST)/bin/python install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# The docstrings are read, not imported, so that this environment holds nothing of the suite.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(DOCS)/ready  ## the site of docs/ in site/, with search and the reference of docstrings; warnings are errors
	$(DOCS)/bin/python -m mkdocs build

$(DOCS)/ready: pyproject.toml
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --upgrade pip
	$(DOCS)/bin/python -m pip install --quiet --group docs $(PIP_ARGUMENTS)
	touch $@

.PHONY: diagnose unit test slow check portable lowest lock docs
