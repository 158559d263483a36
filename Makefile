# Everything a person or CI runs. `make demo` and `make test` set up what they need by themselves.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.lichen-setup
WEB := demo_app/web
ARGS ?=

# A rustup proxy on PATH keeps its toolchains beside its own folder, also where HOME is another one.
RUSTUP_BESIDE := $(abspath $(dir $(shell command -v cargo 2>/dev/null))../../.rustup)
ifeq ($(RUSTUP_HOME),)
ifneq ($(wildcard $(RUSTUP_BESIDE)/toolchains),)
export RUSTUP_HOME := $(RUSTUP_BESIDE)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help setup test check demo bench props docs format clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## Set up: virtual environment, native parts, notes page, system packages that tests need

$(STAMP): pyproject.toml Cargo.toml Cargo.lock $(wildcard $(WEB)/package-lock.json) scripts/setup.sh
	VENV=$(VENV) PYTHON=$(PYTHON) bash scripts/setup.sh
	@touch $@

test: setup ## Run the whole test suite
	$(BIN)/pytest $(ARGS)

check: setup ## Format, lint, types, layers, docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	cargo fmt --all --check
	cargo clippy --release --offline --all-targets -- -D warnings
	if [ -d $(WEB)/node_modules ]; then npm --prefix $(WEB) run --silent check; fi
	$(BIN)/mkdocs build --strict --quiet

demo: setup ## Two devices and a relay write one note together (ARGS="--headless --json")
	@$(BIN)/python -m lichen_notes.demo $(ARGS)

bench: setup ## Benchmarks (ARGS="NAME --json --quick")
	@$(BIN)/python tests/bench/run.py $(ARGS)

docs: setup ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

format: setup ## Format all code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cargo fmt --all

clean: ## Remove what was built, and the environment
	rm -rf $(VENV) target build site *.egg-info $(WEB)/node_modules demo_app/lichen_notes/static/bundle
	rm -f crdt/lichen_crdt/*.so engine/lichen/*.so
