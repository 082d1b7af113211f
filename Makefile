# Two commands do all the set-up on a machine with Python 3.11 or later:
#   make demo    create .venv, install, run the main job on real prices
#   make test    lint, type check and test

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
JOBS ?= 2

.PHONY: demo test lint types unit conformance conformance-quick kills bench bench-quick format clean
.DEFAULT_GOAL := demo

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; set PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[report]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.conformance: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[conformance]'
	@touch $@

demo: $(VENV)/.demo
	ZIPLINE_ROOT=$(CURDIR)/demo $(BIN)/rustybt demo --output-dir demo

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

# zipline-reloaded's own test suite on our readers, writers, portal and bundle functions.
conformance: $(VENV)/.conformance
	$(BIN)/python -m tests.conformance --modules all --jobs $(JOBS)

conformance-quick: $(VENV)/.conformance
	$(BIN)/python -m tests.conformance --modules quick --jobs $(JOBS)

# A migration of old catalogs, killed at a hundred random points and run again.
kills: $(VENV)/.dev
	$(BIN)/python -W ignore -m tests.legacy.kills --kills 100

# Everything that is compared with zipline-reloaded, about ten minutes, and its picture.
bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -W ignore -m benchmarks --json docs/figures.json
	$(BIN)/python -m benchmarks.picture docs/figures.json docs/figures.svg

# A little of each, for the values, which must be equal: the figures mean nothing.
bench-quick: $(VENV)/.dev
	$(BIN)/python -W ignore -m benchmarks.parts --symbols 20 --minute-symbols 2 --rounds 1
	$(BIN)/python -W ignore -m benchmarks.runs --algorithms buy_and_hold pipeline_momentum \
		--symbols 60 --minute-symbols 2 --rounds 1
	$(BIN)/python -W ignore -m benchmarks.ingests --assets 20 --minute-assets 2 --rounds 1

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) .cache demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
