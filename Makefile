# make demo    a small sweep on the embedded data, and its table
# make test    all tests
# make check   ruff and mypy
# make docs    docs/configuration.md, from the comments in conf/
# make mmdet   MMDetection aside, in build/mmdet: with it `make test` also compares with its own code
# Each makes .venv first where it is missing; PYTHON chooses the interpreter (3.10 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MMDET := build/mmdet

.PHONY: install demo check docs mmdet test clean
.DEFAULT_GOAL := install

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m paa.train -m assign.boundary=fnp,fsr,paa schedule.steps=400

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python -m paa.cli.reference docs/configuration.md

mmdet: $(MMDET)/.installed

$(MMDET)/.installed: tests/parity/mmdetection.txt | $(INSTALLED)
	rm -rf $(MMDET)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(MMDET) -r $<
	touch $@

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --dist worksteal

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
