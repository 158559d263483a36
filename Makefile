# Everything a person or CI runs. `make demo` and `make test` set up what they need by themselves.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
WEB := demo_app/web
INTEROP := tests/interop
MODULE := --bundle --minify --format=esm --target=es2022 --charset=utf8
ARGS ?=
WORKERS ?= 2
TARGET ?= load
SECONDS ?= 600

# What a build of the native parts and the page is made of; when it changes, it is built again, without downloads.
RECIPES := pyproject.toml Cargo.toml Cargo.lock $(wildcard $(WEB)/package-lock.json $(INTEROP)/package-lock.json) scripts/setup.sh
SOURCES := $(shell find crdt/rust engine/rust build_backend $(wildcard $(WEB)) -type f \
    -not -path '*/node_modules/*' -not -name '*.pyc')

# A rustup proxy on PATH keeps its toolchains beside its own folder, also where HOME is another one.
RUSTUP_BESIDE := $(abspath $(dir $(shell command -v cargo 2>/dev/null))../../.rustup)
ifeq ($(RUSTUP_HOME),)
ifneq ($(wildcard $(RUSTUP_BESIDE)/toolchains),)
export RUSTUP_HOME := $(RUSTUP_BESIDE)
endif
endif

export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help setup test props orm examples check check-rust check-page demo module bench fuzz docs format clean

help: ## Show what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.lichen-built ## Set up: virtual environment, native parts, notes page, system packages that tests need

$(VENV)/.lichen-environment: $(RECIPES)
	@VENV=$(VENV) PYTHON=$(PYTHON) bash scripts/setup.sh environment
	@touch $@ $(VENV)/.lichen-built

$(VENV)/.lichen-built: $(VENV)/.lichen-environment $(SOURCES)
	@if [ -n "$$(find $(SOURCES) -newer $@)" ]; then VENV=$(VENV) bash scripts/setup.sh build; fi
	@touch $@

test: setup ## Run the whole test suite (ARGS="tests/engine -k word" for a part; WORKERS=1 for one after the other)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

props: setup ## Random replicas hold the promises of lichen_crdt (EXAMPLES=n SEED=n, else a random seed)
	EXAMPLES=$(EXAMPLES) SEED=$(or $(SEED),random) $(BIN)/pytest -q -s --timeout 0 tests/crdt/test_properties.py tests/crdt/test_wild_changes.py

orm: setup ## Random devices hold the promises of the ORM adapter (EXAMPLES=n SEED=n, else a random seed; DEVICES=n, else 4)
	EXAMPLES=$(EXAMPLES) SEED=$(or $(SEED),random) DEVICES=$(or $(DEVICES),4) $(BIN)/pytest -q -s --timeout 0 tests/adapters/orm/test_devices.py

examples: setup ## Run the desktop examples without a screen, two of each, and write their pictures into the docs
	PICTURES=docs/pictures $(BIN)/pytest -q tests/examples

check: setup check-rust check-page ## Format, lint, types, layers, docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/mypy typing_tests examples
	$(BIN)/basedpyright
	$(BIN)/stubtest --mypy-config-file pyproject.toml lichen_crdt._native lichen._native
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict

check-rust: setup
	@if cargo fmt --version >/dev/null 2>&1; then set -x; cargo fmt --all --check; \
	else echo "check: rustfmt is not here, so Rust's format is not checked"; fi
	@if cargo clippy --version >/dev/null 2>&1; then set -x; cargo clippy --release --offline --all-targets -- -D warnings; \
	else echo "check: clippy is not here, so Rust is not linted"; fi

check-page: setup
	@if [ -d $(WEB)/node_modules ]; then npm --prefix $(WEB) run --silent check; fi

demo: setup ## Two devices and a relay write one note together (ARGS="--headless --json")
	@$(BIN)/python -m lichen_notes.demo $(ARGS)

module: setup ## Build the module of web pages (adapters/web) into the adapter, where it is kept
	$(WEB)/node_modules/.bin/esbuild adapters/web/lichen.js $(MODULE) --outfile=adapters/lichen_adapters/asgi/static/lichen.js

bench: setup ## Benchmarks (ARGS="NAME --json --quick")
	@$(BIN)/python tests/bench/run.py $(ARGS)

fuzz: setup ## Fuzz with hostile bytes (TARGET=load|apply|cursor|patch|branches|record|undo SECONDS=600)
	@$(BIN)/python tests/fuzz/run.py $(TARGET) $(SECONDS)

docs: setup ## Build the documentation into site/
	$(BIN)/mkdocs build --strict

format: setup ## Format all code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	cargo fmt --all

clean: ## Remove what was built, and the environment
	rm -rf $(VENV) target build site *.egg-info $(WEB)/node_modules $(INTEROP)/node_modules demo_app/lichen_notes/static/bundle
	rm -f crdt/lichen_crdt/*.so engine/lichen/*.so
