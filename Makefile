# nucseg. `make` or `make help` lists what there is.

PYTHON ?= python3.11
VARIANT ?= cuda
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.nucseg-ready
CLIENTS := .venv-clients
CLIENTS_READY := $(CLIENTS)/.nucseg-ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint images image base-rootfs descriptors clients parity bench weights accuracy lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## virtual environment .venv with the locked packages and the program .venv/bin/nucseg

demo: setup ## segment the bundled demo volumes and say where the results are
	@$(BIN)/python scripts/demo.py

test: setup ## all tests that this machine can run; what is left out, and why, is said at the end
	@missing=; \
	if ! docker version >/dev/null 2>&1; then missing="no container engine answers"; \
	elif ! $(BIN)/python scripts/build_images.py --variant auto --keep; then missing="the images cannot be built"; fi; \
	if [ -n "$$missing" ] && [ -n "$$CI$$NUCSEG_REQUIRE_ENGINE" ]; then \
	    echo "error: $$missing, and this run requires them. Try: scripts/start_engine.sh" >&2; exit 3; \
	elif [ -n "$$missing" ]; then \
	    echo "note: $$missing, so the container tests are left out"; \
	    export DOCKER_HOST=unix:///nonexistent; \
	fi; \
	$(BIN)/pytest

lint: setup ## ruff (rules and format) and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

images: setup ## build the base image and every method's; VARIANT=cuda (default) or cpu
	@$(BIN)/python scripts/build_images.py --variant $(VARIANT) $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE))

image: setup ## build one method's image: METHOD=stardist3d
	@[ -n "$(METHOD)" ] || { echo "error: which method? Try: make image METHOD=stardist3d" >&2; exit 2; }
	@$(BIN)/python scripts/build_images.py --variant $(VARIANT) $(if $(BASE_IMAGE),--base-image $(BASE_IMAGE)) $(METHOD)

base-rootfs: ## make the base image from Debian packages, where no registry can be reached
	@scripts/base_rootfs.sh

descriptors: setup ## write descriptors/ from each method's parameters, in every dialect
	@$(BIN)/python scripts/make_descriptors.py

clients: $(CLIENTS_READY) ## the programs that read our descriptors, in .venv-clients, for the tests

parity: setup ## compare with upstream StarDist and TensorFlow, in an environment of its own
	@$(BIN)/python scripts/parity.py

bench: setup ## measure speed and memory against upstream
	@$(BIN)/python scripts/bench.py

weights: setup ## train the weights that ship with a method: METHOD=stardist3d
	@[ -n "$(METHOD)" ] || { echo "error: which method? Try: make weights METHOD=stardist3d" >&2; exit 2; }
	@$(BIN)/python scripts/make_weights.py $(METHOD)

accuracy: setup ## measure the shipped weights on the development volumes and write the tables of README and cards
	@$(BIN)/python scripts/accuracy.py --write

# Editable installs follow the source, so only a change of the locks or of a package's metadata installs again.
$(READY): constraints.lock images/base/torch-cpu.lock images/cellpose/requirements.txt common/pyproject.toml scripts/pyproject.toml
	@$(PYTHON) -c '' 2>/dev/null || \
	    { echo "error: $(PYTHON) is missing. Try: apt-get install python3.11 python3.11-venv, or make PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo "error: $(PYTHON) is not python 3.11, for which the packages are locked. Try: make PYTHON=python3.11" >&2; exit 3; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    { echo "error: $(PYTHON) cannot make virtual environments. Try: apt-get install python3.11-venv" >&2; exit 3; }
	@echo "Setting up $(VENV) (once; torch is the largest part)"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -c constraints.lock pip setuptools
	@$(BIN)/pip install --quiet -r constraints.lock -r images/base/torch-cpu.lock
	@$(BIN)/pip install --quiet --no-deps -r images/cellpose/requirements.txt
	@PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable common --editable scripts
	@touch $@

$(CLIENTS_READY): tests/interoperability/requirements.lock | $(READY)
	@echo "Setting up $(CLIENTS)"
	@[ -x $(CLIENTS)/bin/python ] || $(BIN)/python -m venv $(CLIENTS)
	@$(CLIENTS)/bin/pip install --quiet --no-deps -r $<
	@touch $@

lock: setup ## write constraints.lock from the environment, after a deliberate change of it
	@$(BIN)/pip freeze --all --exclude-editable > constraints.lock.all
	@{ sed -n '/^#/p' constraints.lock; \
	   grep -vE '^(torch|cellpose)==' constraints.lock.all | LC_ALL=C sort -f; } > constraints.lock.part
	@mv constraints.lock.part constraints.lock && rm constraints.lock.all

clean: ## remove what was made here: environment, caches, build folders, demo output
	@rm -rf $(VENV) $(CLIENTS) build dist .mypy_cache .pytest_cache .ruff_cache common/build scripts/build
	@find common images scripts tests -name __pycache__ -prune -exec rm -rf {} + -o -name '*.egg-info' -prune -exec rm -rf {} +
