# cowpool: `make run` answers the main question, `make test` checks everything.
# Both set up what they need in .venv; all they ask for is make and Python 3.11 or newer.

VENV := .venv
BIN := $(VENV)/bin
STUDY := redis_bgsave
# Plug-ins of other packages that happen to be installed are none of the tests' business; tests have
# a process a core, in which more threads of linear algebra only wait for each other; and cowpool is
# started hundreds of times, so its bytecode is kept.
PYTEST := PYTHONDONTWRITEBYTECODE= PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
	$(BIN)/python -m pytest
# How many processes, and which tests share one, is said in tests/conftest.py.
PARALLEL := -p xdist.plugin -n auto
# Tests that must have held against the running kernel, or `make truth` has proved too little.
HELD := 150
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The lock files are complete, so there is nothing to resolve; bytecode is written on first import,
# or now, where Python may not write it then: or every start would compile pandas and SciPy anew.
INSTALL := $(PIP) install --quiet --no-deps $(if $(PYTHONDONTWRITEBYTECODE),,--no-compile)
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run test truth stress bench lock clean
.DELETE_ON_ERROR:

help:
	@echo "make run    the Redis BGSAVE study: the answer, and out/$(STUDY)/ with the report"
	@echo "make test   style, types, layers, tests (a sample of each long list)"
	@echo "make truth  all that is held against the running kernel, in full"
	@echo "make stress the long lists of examples, in full"
	@echo "make bench  how fast the simulator is"
	@echo "make lock   write the lock files again (UPGRADE=--upgrade takes newer versions)"
	@echo "make clean  remove results and caches, keep $(VENV)"

run: $(VENV)/.installed
	$(BIN)/cowpool study configs/studies/$(STUDY).yaml --out out/$(STUDY)

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) $(PARALLEL)

truth: $(VENV)/.installed-dev
	$(PYTEST) --whole -m kernel --held-at-least $(HELD)

stress: $(VENV)/.installed-dev
	$(PYTEST) $(PARALLEL) --whole -m stress

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pytest benchmarks --benchmark-only

$(BIN)/python:
	@for python in python3.11 python3.12 python3.13 python3.14 python3; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
			2>/dev/null; then \
			echo "setting up $(VENV) with $$($$python --version)"; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "cowpool needs Python 3.11 or newer, with venv; found none" >&2; exit 1

# A stamp is younger than what it stands for: set-up runs again when a lock or pyproject changes.
$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing from requirements.lock"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "installing from requirements-dev.lock"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# The resolver lives in an environment of its own.
build/lock/bin/uv: | $(BIN)/python
	$(BIN)/python -m venv build/lock
	build/lock/bin/python -m pip install --quiet uv

lock: build/lock/bin/uv
	build/lock/bin/$(LOCK) $(UPGRADE) --extra build -o requirements.lock pyproject.toml
	build/lock/bin/$(LOCK) $(UPGRADE) --extra dev -c requirements.lock \
		-o requirements-dev.lock pyproject.toml

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis \
		.benchmarks
	find sim tests benchmarks experiments -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
