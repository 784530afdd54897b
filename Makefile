# Everything here works on a fresh machine with Python 3.10 or newer, git and make: the first target to run makes the
# virtual environment. On a machine without make, CONTRIBUTING.md gives the same as plain commands.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
SCALE  := 1

.DEFAULT_GOAL := help
.PHONY: help bench bench-quick bench-parts demo test deep lint check lock clean

help:  ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 19

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, found " + sys.version.split()[0] + "; say make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(READY)  ## upload this repository, run it in a kernel, edit it, run that
	@$(BIN)/python -m benchmarks.demo

test: $(READY)  ## run the tests
	@$(BIN)/python -m pytest --numprocesses auto

deep: $(READY)  ## run the property tests on many random examples
	@HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest --numprocesses auto \
		tests/properties tests/damage tests/crash tests/synccore tests/worktree tests/fuzz

bench: $(READY)  ## measure everything beside other tools, in about 45 minutes, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks set-up
	@$(BIN)/python -m benchmarks suite --scale $(SCALE)
	@$(BIN)/python -m benchmarks kernel
	@$(BIN)/python -m benchmarks everyday
	@$(BIN)/python -m benchmarks growth
	@$(BIN)/python -m benchmarks parts
	@$(BIN)/python -m benchmarks network
	@$(BIN)/python -m benchmarks cost
	@$(BIN)/python -m benchmarks report

bench-quick: $(READY)  ## measure one small tree, in under a minute; fails where a count has grown
	@$(BIN)/python -m benchmarks quick

bench-parts: $(READY)  ## measure the steps of a synchronisation one by one
	@$(BIN)/python -m benchmarks parts

lint: $(READY)  ## check style, types, layers and scripts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/windows --exclude /testing/ synccore epic_lab
	@$(BIN)/lint-imports
	@$(BIN)/vermin --quiet --no-tips --violations --target=3.10- --eval-annotations synccore epic_lab benchmarks
	@$(BIN)/shellcheck .ci/run $$(git ls-files '*.sh')

check: lint test bench-quick  ## all that continuous integration checks

lock: $(READY)  ## resolve the dependencies anew
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade --no-header --no-emit-index-url \
		--group test --group check --output-file requirements.lock pyproject.toml

clean:  ## remove what the targets above have made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
