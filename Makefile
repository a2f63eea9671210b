# make demo   the whole job on a shipped evalset with a small model; needs no key
# make test   the tests
# make check  formatting, lint, types, docs
# make fix    mend what can be mended
# make bench  speed and memory, as ratios to a reference in the same run
# make golden rewrite golden files (read the diff); make docs rewrites docs/commands.md and docs/layout.md
# make lock   write constraints.txt anew from a fresh environment

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
.PHONY: demo test check fix bench golden docs lock clean

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 14)))' || \
		{ echo "prelabel needs Python 3.11 to 3.13; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.local: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[local]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.local

demo: $(VENV)/.local
	$(BIN)/prelabel demo

test: $(VENV)/.dev
	$(BIN)/prelabel models pull smollm2-135m
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/commands.py --check
	$(BIN)/python docs/layout.py --check

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/cold.py
	$(BIN)/python benchmarks/warm.py
	$(BIN)/python benchmarks/alpha.py
	$(BIN)/python benchmarks/intervals.py
	$(BIN)/python benchmarks/coverage_agreement.py
	$(BIN)/python benchmarks/dawid_skene.py
	$(BIN)/python benchmarks/score.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/confidence.py
	$(BIN)/python benchmarks/promises.py
	$(BIN)/python benchmarks/trust.py --draws 20
	$(BIN)/python benchmarks/forecast.py
	$(BIN)/python benchmarks/cascade.py
	$(BIN)/python benchmarks/audits.py
	$(BIN)/python benchmarks/review_queue.py
	$(BIN)/python benchmarks/review_value.py

golden: $(VENV)/.dev
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest

docs: $(VENV)/.dev
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/layout.py

lock:
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet -e '.[dev]'
	$(VENV)-lock/bin/python -m pip freeze --exclude-editable --exclude prelabel > constraints.txt
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist build
