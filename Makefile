.PHONY: help setup piece test check
.DEFAULT_GOAL := help

# The first Python of these that fits; another one: make PYTHON=/path/to/python setup
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	$$p -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(STAMP) ## install everything, pinned, into .venv

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or 3.12 found; name one with make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "make: $(PYTHON) is $$($(PYTHON) -V 2>&1), but Python 3.11 or 3.12 is needed" >&2; exit 1; }
	@echo "installing into $(VENV): a few minutes the first time"
	@$(PYTHON) -m venv $(VENV)
	@PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

piece: setup ## set up, then write one piece, a rondo, into out/
	@echo "a rondo, in six stages, about half a minute: python pipeline.py form=rondo"
	@$(BIN)/python pipeline.py form=rondo
	@echo "docs/tour.md goes on from here"

check: setup ## ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: setup check ## set up, then check and run the tests
	$(BIN)/python -m pytest -n 2
