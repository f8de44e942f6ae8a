# Two commands on a fresh machine: `make demo` and `make test`. Both do their own set-up in .venv.
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= runs/demo
BIN    := $(VENV)/bin

# With busy cores torch is fastest with one thread a process; tests run in several processes.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint types unit fuzz clean

demo: $(VENV)/.lab
	$(BIN)/badnets run digits --out $(DEMO)

test: lint types unit

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

unit: $(VENV)/.test
	$(BIN)/pytest --numprocesses auto

# Property tests with new random examples every time; `make test` has the same ones, so that it judges a change alone.
fuzz: $(VENV)/.test
	HYPOTHESIS_PROFILE=search $(BIN)/pytest --numprocesses auto tests/property

# Groups of dependencies need pip 25.1.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("badnets needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.lab: pyproject.toml | $(BIN)/python
	@echo 'Installing torch and the rest of the lab into $(VENV): some gigabytes, a minute or more ...'
	$(BIN)/python -m pip install --quiet --editable '.[lab]'
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.lab
	$(BIN)/python -m pip install --quiet --group test
	touch $@

clean:
	rm -rf $(VENV) runs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
