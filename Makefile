# Two commands for a newcomer: `make demo` runs the main job, `make test` the tests.
# `make figures` measures what README.md and docs/performance.md quote; on a quiet machine only.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What only computes shares the cores; whole runs of the pipeline, which keep time, have them to themselves.
ONE_BY_ONE := tests/replay tests/soak $(addprefix tests/faults/test_,stages_killed.py one_of_several_cameras.py \
	bad_inputs_source.py edges_killed.py recording_killed.py live_source.py live_run.py)

.PHONY: demo test lint fix figures clean

demo: $(VENV)/live
	$(BIN)/posecast demo --out results/demo

test: $(VENV)/test
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile tests $(ONE_BY_ONE:%=--ignore=%)
	$(BIN)/python -m pytest $(ONE_BY_ONE)

lint: $(VENV)/test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fix: $(VENV)/test
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

figures: $(VENV)/test
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/chain.py --json results/chain.json
	$(BIN)/posecast bench --json results/bench.json
	$(BIN)/python benchmarks/engines.py --json results/engines.json
	$(BIN)/python benchmarks/temporal.py --markdown results/temporal.md
	$(BIN)/python benchmarks/start.py --markdown results/start.md
	$(BIN)/python benchmarks/cameras.py --markdown results/cameras.md
	$(BIN)/python benchmarks/floor.py --markdown results/floor.md
	$(BIN)/python benchmarks/profile.py --json results/profile.json
	$(BIN)/python benchmarks/performance.py results docs/performance.md
	$(BIN)/python benchmarks/figures.py results README.md

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
