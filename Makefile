# make demo      a small sweep on the embedded data, and its table
# make test      all tests except those on a SLURM cluster
# make test-slurm   those: starts a SLURM of its own on this machine (Debian 12, root), and stops it
# make check     ruff and mypy
# make docs      docs/configuration.md and docs/compat.md, from the comments in conf/
# make mmdet     MMDetection, in build/mmdet: with it `make test` also compares with its code
# make plugins   third-party Hydra launchers and sweepers, in build/plugins: with them `make test` also runs those
# make hydra14   Hydra 1.4 and its plugins, in build/hydra14, and the tests of the command line on it
# Each creates .venv first where it is missing; PYTHON chooses the interpreter (3.10 to 3.13).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALLED := $(VENV)/.installed
WORKERS ?= auto

.PHONY: install demo check docs mmdet plugins hydra14 test test-slurm clean
.DEFAULT_GOAL := install

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

# Fewer and smaller images than recipe=mini, and two runs at a time: under 4 minutes on two cores.
demo: $(INSTALLED)
	$(BIN)/python -m paa.train -m assign.boundary=fnp,fsr,paa schedule.steps=400 $(DEMO_IMAGES) \
		hydra/launcher=local hydra.launcher.n=2

DEMO_IMAGES := data.train=1000 data.val=200 data.test=1 images.train.short=160 images.test.short=160

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	$(BIN)/python -m docs.generate.reference docs/configuration.md
	$(BIN)/python -m docs.generate.presets docs/compat.md

mmdet: build/mmdet/.installed
plugins: build/plugins/.installed

build/mmdet/.installed: tests/parity/mmdetection.txt
build/plugins/.installed: tests/plugins/requirements.txt
build/hydra14/.installed: tests/plugins/hydra14.txt

# Kept out of the environment, whose own packages it uses: nothing there is replaced.
build/%/.installed: | $(INSTALLED)
	rm -rf $(@D)
	$(PIP) --no-deps --target $(@D) -r $<
	touch $@

hydra14: build/hydra14/.installed
	PYTHONPATH=$(CURDIR)/$(<D):$(PYTHONPATH) PAA_PLUGINS=$(CURDIR)/$(<D) \
		$(BIN)/python -m pytest -n $(WORKERS) tests/config tests/plugins

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test-slurm: $(INSTALLED)
	tests/slurm/with_cluster.sh $(BIN)/python -m pytest -m slurm tests

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
