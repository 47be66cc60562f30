# Every target sets up what it needs: `make demo` and `make test` work on a machine that has only Python 3.11 to 3.13.
VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash
# Set-up runs again when what it installs has changed.
SETTINGS := pyproject.toml constraints.txt
# One test process per core, four at most (each takes up to 2 GB), with one thread each; the tests of a file share a process.
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses=4 --dist=loadfile
ONE_THREAD := OMP_NUM_THREADS=1 OPENCV_FOR_THREADS_NUM=1

.PHONY: demo test test-all wheel-test structure lint format docs setup setup-dev setup-docs clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/avsync demo

test: setup-dev
	$(ONE_THREAD) $(PYTEST)

test-all: setup-dev
	$(ONE_THREAD) $(PYTEST) -m 'not wheel'

# Each asks the matrix, convolution or vector library for the arithmetic of another processor or number of threads.
CODE_PATHS := OMP_NUM_THREADS=1 OMP_NUM_THREADS=2 \
  ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 \
  MKL_ENABLE_INSTRUCTIONS=AVX2 MKL_ENABLE_INSTRUCTIONS=SSE4_2 MKL_CBWR=COMPATIBLE MKL_CBWR=AVX2 \
  ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=SSE41

.PHONY: test-arithmetic
test-arithmetic: setup-dev
	@failed=; files=$$(grep -rl --include='test_*.py' mark.arithmetic tests); \
	for path in $(CODE_PATHS); do \
	  echo "== $$path"; \
	  env $(ONE_THREAD) $$path $(PYTEST) -m arithmetic $$files || failed="$$failed $$path"; \
	done; \
	for path in $(CODE_PATHS); do \
	  case " $$failed " in *" $$path "*) echo "FAILED $$path";; *) echo "passed $$path";; esac; \
	done; \
	test -z "$$failed"

wheel-test: setup-dev
	$(BIN)/python -m pytest -q -m wheel tests/test_wheel.py

structure: setup-dev
	$(BIN)/python tests/structure.py

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in docs/_build; a warning is an error.
docs: setup-docs
	$(BIN)/sphinx-build -W --keep-going -q -E docs docs/_build

setup: $(VENV)/installed
setup-dev: $(VENV)/installed-dev
setup-docs: $(VENV)/installed-docs

# The first interpreter that runs and is 3.11 to 3.13 (a name on the PATH may be a stub that does not run).
$(BIN)/python:
	@for python in python3 python3.13 python3.12 python3.11; do \
	  if "$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	    echo "creating $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv $(VENV) && exit 0; \
	    rm -rf $(VENV); \
	    echo "$$python could not create $(VENV): is its venv module installed (Debian: apt install python3-venv)?" >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "avsync needs Python 3.11 to 3.13 and found none of them on the PATH" >&2; exit 1

$(VENV)/installed: $(SETTINGS) | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/installed-dev: $(SETTINGS) | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(SETTINGS) | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf build dist docs/_build docs/api/generated .mypy_cache .pytest_cache .ruff_cache avsync-demo
