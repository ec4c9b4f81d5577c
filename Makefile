# What CI runs is what a person runs. The first use makes .venv and installs into it; the next ones do not reinstall.
PYTHON ?= python3
BIN := .venv/bin
.PHONY: demo test test-fast check lint types format bench docs clean install

demo: .venv/installed  ## the main job on embedded real images, ending with a report
	$(BIN)/unlearn-audit demo

# A file's tests stay in one process, where they share what they trained. ARGS goes to pytest:
# make test ARGS="tests/auditing -k holm"
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadscope

test: .venv/installed  ## all tests, in parallel
	$(PYTEST) $(ARGS)

test-fast: .venv/installed  ## all tests but those marked slow: under a minute on two idle cores
	$(PYTEST) -m "not slow" $(ARGS)

check: lint types  ## format, lint and types

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/installed
	$(BIN)/python -m mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed  ## the documentation site, into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

bench: .venv/installed  ## ratios to named alternatives, measured side by side
	$(BIN)/python -m tests.benchmarks

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv runs build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
