# make demo    a small sweep on the embedded data, and its table
# make test    all tests, but those on a cluster
# make test-slurm   those: starts a SLURM of its own on this machine (Debian 12, root), and stops it
# make check   ruff and mypy
# make docs    docs/configuration.md and docs/compat.md, from the comments in conf/
# make mmdet   MMDetection aside, in build/mmdet: with it `make test` also compares with its own code
# Each makes .venv first where it is missing; PYTHON chooses the interpreter (3.10 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MMDET := build/mmdet

.PHONY: install demo check docs mmdet test test-slurm clean
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
	$(BIN)/python -m docs.generate.reference docs/configuration.md
	$(BIN)/python -m docs.generate.presets docs/compat.md

mmdet: $(MMDET)/.installed

$(MMDET)/.installed: tests/parity/mmdetection.txt | $(INSTALLED)
	rm -rf $(MMDET)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(MMDET) -r $<
	touch $@

test: $(INSTALLED)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-slurm: $(INSTALLED)
	tests/slurm/with_cluster.sh $(BIN)/python -m pytest -m slurm tests/slurm

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
