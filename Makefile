# graphferry: everything that a developer or CI does, each as one word. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python on the path that is new enough; name another one with PYTHON=... .
ifndef PYTHON
PYTHON := $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$each" && break; done)
endif
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST_ARGS ?=

# The one place that names its version is pyproject.toml.
LLAMA := $(shell sed -n 's/.*"\(llama-cpp-python==[^"]*\)".*/\1/p' pyproject.toml)
MODEL := smollm2-135m

# Portable code for any CPU of the last ten years, and only the parts of llama.cpp that are used: 74 compile units, not 178.
# CMake reads the option list blank by blank, so in a folder with a blank in its name slim.cmake stays out: a longer build.
ifeq ($(words $(CURDIR)),1)
SLIM := -DCMAKE_PROJECT_llama.cpp_INCLUDE=$(CURDIR)/tools/slim.cmake
BUILD_TIME := 2 to 3 minutes
else
SLIM :=
BUILD_TIME := 4 to 5 minutes (this folder has a blank in its name, which rules out the short build)
endif
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF $(SLIM)

PROJECT_STAMP := $(VENV)/.stamp-project
LLAMA_STAMP := $(VENV)/.stamp-$(subst ==,-,$(LLAMA))

.PHONY: help demo test test-fast lint format bench conformance vectors parsers fuzz fuzz-link sim chaos canaries env llama model clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

demo: model ## set everything up, then run a small graph on a real model with a worker beside it
	@$(BIN)/graphferry demo

test: model ## run all tests, those with the real model included
	@GRAPHFERRY_REQUIRE_MODEL=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

test-fast: env ## run the tests that need no model
	@$(BIN)/python -m pytest -m "not real_model" $(PYTEST_ARGS)

lint: env ## check style, types and the import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: env ## rewrite the code in the project's style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: env ## run each benchmark once, briefly, to see that it works
	@for each in $$(grep -l __main__ benchmarks/[a-z]*.py); do \
		echo "== $$each"; $(BIN)/python "$$each" --smoke || exit 1; \
	done

ROUNDS ?= 100000
SEED ?= $(shell date +%s)
fuzz: env ## throw $(ROUNDS) mutated graphs at load, check and run; SEED=N repeats a run
	@$(BIN)/python -m tests.fuzz --seed $(SEED) --count $(ROUNDS)

SEEDS ?= 20
conformance: env ## run every conformance case on the device, at a worker, and cut at random with $(SEEDS) seeds
	@for place in edge cloud; do $(BIN)/python -m tests.conformance --place $$place || exit 1; done
	@for seed in $$(seq 1 $(SEEDS)); do $(BIN)/python -m tests.conformance --place random --seed $$seed || exit 1; done

vectors: env ## write the link's test vectors anew, from tests/wire, and its states in docs/protocol.md
	@PYTHONPATH=tests $(BIN)/python -m wire.vectors
	@$(BIN)/python tools/states_doc.py

SECONDS_OF_FUZZ ?= 60
fuzz-link: env ## attack the link's core with a coverage-guided fuzzer, for $(SECONDS_OF_FUZZ) seconds
	@$(PIP) install --quiet 'atheris>=3'
	@$(BIN)/python tests/fuzz/target.py -max_total_time=$(SECONDS_OF_FUZZ)

parsers: ## install Mermaid, 180 MB, so that the tests read every drawing with its own parser
	@cd tests/drawing && npm ci --no-audit --no-fund --ignore-scripts

WORLDS ?= 100000
KIND ?= every
PROCESSES ?= $(shell getconf _NPROCESSORS_ONLN)
sim: env ## play $(WORLDS) schedules of whole systems in virtual time, from seed $(SEED) on, of each KIND some, in $(PROCESSES) processes
	@$(BIN)/python -m tests.sim --kind $(KIND) --seed $(SEED) --count $(WORLDS) --processes $(PROCESSES)

SCHEDULES ?= 5000
chaos: env ## play $(SCHEDULES) schedules of cuts and kills with real processes, from seed $(SEED) on
	@$(BIN)/python tests/chaos/seeds.py --seed $(SEED) --schedules $(SCHEDULES)

CANARIES ?= 10000
canaries: env ## look for labelled texts in every byte that $(CANARIES) random graphs put on the link, from seed $(SEED) on
	@$(BIN)/python -m tests.canaries --seed $(SEED) --count $(CANARIES)

env: $(PROJECT_STAMP) ## set up the virtual environment: the project and its tools

llama: $(LLAMA_STAMP) ## add llama.cpp to it, built once

model: $(PROJECT_STAMP) $(LLAMA_STAMP) ## add the small model (93 MB)
	@$(BIN)/graphferry models get $(MODEL)

clean: ## remove what the other targets made, the virtual environment included; models and runs stay
	rm -rf $(VENV) .venv-ci build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "graphferry needs Python 3.11 or newer, and there is none on the path:" >&2; \
		echo "  sudo apt-get install python3 python3-venv     (Debian 12, Ubuntu 24.04 or newer)" >&2; \
		echo "  or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "graphferry needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1 || true)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments:" >&2; \
		echo "  sudo apt-get install python3-venv" >&2; exit 1; }
	@echo "making the virtual environment $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)

$(PROJECT_STAMP): pyproject.toml | $(BIN)/python
	@echo "installing graphferry and its tools: half a minute"
	@$(PIP) install --quiet -e '.[dev]'
	@touch $@

# A step of its own: nothing that changes in this project may build llama.cpp again. By name, so that pip keeps the wheel.
$(LLAMA_STAMP): | $(BIN)/python
	@if [ -z "$$($(PIP) cache list llama_cpp_python 2>/dev/null | grep -F -- '$(subst llama-cpp-python==,-,$(LLAMA))-' || true)" ]; then \
		command -v c++ >/dev/null || command -v "$${CXX:-g++}" >/dev/null || { \
			echo "llama.cpp is built here, and there is no C++ compiler:" >&2; \
			echo "  sudo apt-get install g++          (macOS: xcode-select --install)" >&2; exit 1; }; \
		echo "building llama.cpp, $(BUILD_TIME) on 2 cores, once"; \
	else echo "installing llama.cpp from pip's cache"; fi
	@$(PIP) install --quiet $(LLAMA)
	@touch $@
