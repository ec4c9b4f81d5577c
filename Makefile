# What CI runs is what a person runs. The first use makes .venv and installs into it; the next ones do not reinstall.
PYTHON ?= python3
BIN := .venv/bin
.PHONY: demo test lint format bench docs clean install

demo: .venv/installed  ## the main job on embedded real images, ending with a report
	$(BIN)/unlearn-audit demo

test: .venv/installed  ## all tests
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

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
	rm -rf .venv runs build dist site *.egg-info .pytest_cache .ruff_cache
