# Two commands for a newcomer: `make demo` runs the main job, `make test` the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint fix clean

demo: $(VENV)/live
	$(BIN)/posecast demo --out results/demo

test: $(VENV)/test
	$(BIN)/python -m pytest

lint: $(VENV)/test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: $(VENV)/test
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "posecast needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/live: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[train,test]'
	touch $@ $(VENV)/live

clean:
	rm -rf $(VENV) results
