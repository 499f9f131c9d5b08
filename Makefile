# Interplay: `make help` lists the targets. Each sets up what it needs in .venv and says what it is doing.

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python3.14,\
            $(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test serve check format catalog bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/demo ## Train two digit classifiers, explain both, catch the shortcut; ARGS="--help" for your own photograph
	@$(BIN)/python -m examples.demo $(ARGS)

test: $(VENV)/dev ## Install everything and run the tests; ARGS go to pytest
	@echo "==> Running the tests"
	@$(BIN)/python -m pytest $(ARGS)

serve: $(VENV)/demo ## Start the service (gateway and worker) and leave it running
	@$(BIN)/interplay serve $(ARGS)

check: $(VENV)/dev ## Format, lint, types, import rules, catalogue drift
	@echo "==> Formatting and lint"; $(BIN)/ruff format --check . && $(BIN)/ruff check .
	@echo "==> Types"; $(BIN)/mypy
	@echo "==> Import rules"; $(BIN)/lint-imports
	@echo "==> Catalogue"; $(BIN)/python -m worker.catalog --check

format: $(VENV)/dev ## Format the code and mend what lint can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

catalog: $(VENV)/dev ## Write jobs/catalog.json from the registered methods
	@$(BIN)/python -m worker.catalog

bench: $(VENV)/dev ## Run every benchmark; ARGS="--quick" for the short form
	@for name in h_sets service architectures and_or and_or_dynamics multi_order order_modulation nid l0_sign; do echo "==> Benchmark $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

clean: ## Remove the virtual environment and what the demo wrote
	rm -rf $(VENV) .demo

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Interplay needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 1; }
	@echo "==> Creating $(VENV) with $(PYTHON) ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/demo $(VENV)/dev: $(VENV)/%: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "==> Installing Interplay [$(EXTRA)] with PyTorch from PyPI; the first time takes some minutes and about 5 GB"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e ".[$(EXTRA)]" \
	  | grep --line-buffered -E '^(Collecting|Downloading|Installing|Successfully|ERROR)' | cut -c1-110
	@touch $@

$(VENV)/demo: EXTRA = worker,demo
$(VENV)/dev: EXTRA = dev
