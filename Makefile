# Two commands are enough: `make run` and `make test`. Both set up what they need, once, in .venv.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install -q --disable-pip-version-check
RUNS := .venv/.runs
READY := .venv/.ready

.PHONY: run test check fix docs fuzz interop bench bench-quick clean

run: $(RUNS)
	LOCATION=sample/rpki-client.json STATE=.venv/sample-state MAX_AGE=31536000 exec $(BIN)/pyrtr

test: $(READY)
	$(BIN)/pytest -q -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fuzz: $(READY)
	tests/fuzz/run 20

interop: $(READY)
	tests/interop/install
	PYRTR=$(CURDIR)/$(BIN)/pyrtr PY=$(CURDIR)/$(BIN)/python tests/interop/run

bench: $(READY)
	bench/install
	$(BIN)/python -m bench --results bench/RESULTS.md

bench-quick: $(READY)
	bench/install debian
	$(BIN)/python -m bench --extent quick

clean:
	rm -rf .venv site .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What running takes, and then what developing takes besides.
$(RUNS): pyproject.toml poetry.lock tools/requirements.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pyRTR needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python tools/requirements.py main > .venv/requirements.txt
	$(PIP) --require-hashes -r .venv/requirements.txt
	$(PIP) --no-deps -e .
	touch $@

$(READY): $(RUNS)
	$(BIN)/python tools/requirements.py > .venv/requirements.txt
	$(PIP) --require-hashes -r .venv/requirements.txt
	touch $@
