# Everything runs from .venv, which is made with nothing but a Python 3.11 to 3.13. Paths stay relative, so that the
# folder may have a space in its name. Another Python: make PYTHON=/path/to/python3.12 setup

PYTHON ?=
DOCKER ?= docker
UV_VERSION := 0.13.9

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet
COMPILE := uv pip compile pyproject.toml --group build --universal --python-version 3.11 \
	--generate-hashes --system-certs --custom-compile-command 'make lock' --quiet
# What the service keeps under make, so that trying it leaves nothing outside this folder.
# `exec`, so that a signal to make reaches the service and not a shell between them.
IN_DATA_DIR := exec env CONSENT_PROXY_DATA_DIR="$${CONSENT_PROXY_DATA_DIR:-$$PWD/.consent-proxy}"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo run test test-tools check fmt lint types openapi openapi-check migrate bench image lock clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: .venv/.development ## install all that developing takes into .venv
	@echo "Everything is in .venv."

demo: .venv/.runtime ## walk the whole journey with the official SDKs, at no cost, leaving nothing running
	@$(IN_DATA_DIR) $(BIN)/consent-proxy demo

run: .venv/.runtime ## serve on 127.0.0.1:8080 with its own Postgres, and a sandbox where no provider key is set
	@$(IN_DATA_DIR) $(BIN)/consent-proxy serve

test: .venv/.development ## run every test, two at a time (make test ARGS="-k withdrawn": those, one by one)
	@$(BIN)/python -m pytest $(or $(ARGS),--numprocesses 2 --dist loadfile)

test-tools: ## install exiftool and ffmpeg, which tests ask for a second opinion (as root on Debian; else they skip)
	@command -v exiftool > /dev/null && command -v ffmpeg > /dev/null \
		|| [ "$$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null \
		|| { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		libimage-exiftool-perl ffmpeg; } > /dev/null || true
	@for tool in exiftool ffmpeg; do \
		command -v $$tool > /dev/null || echo "$$tool is not here: tests that ask it are skipped." >&2; done

check: lint types openapi-check test ## all that CI holds: lint, types, the OpenAPI document, every test

fmt: .venv/.development ## format, and mend what can be mended by rule
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

lint: .venv/.development ## ruff, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: .venv/.development ## mypy, strict
	@$(BIN)/mypy

openapi: .venv/.runtime ## write the OpenAPI document anew
	@mkdir -p openapi
	@$(BIN)/consent-proxy openapi > openapi/.next.json && mv openapi/.next.json openapi/consent-proxy.v1.json

openapi-check: .venv/.runtime
	@$(BIN)/consent-proxy openapi | diff -u openapi/consent-proxy.v1.json - \
		|| { echo 'openapi/consent-proxy.v1.json is not what the code says: run make openapi' >&2; exit 1; }

migrate: .venv/.runtime ## bring the database's schema up to date
	@$(IN_DATA_DIR) $(BIN)/consent-proxy migrate

bench: .venv/.runtime ## measure against a hand-written pass-through (needs wrk)
	@command -v wrk > /dev/null || { echo 'make bench needs wrk: apt install wrk, or brew install wrk' >&2; exit 1; }
	@$(BIN)/python -m benchmarks $(ARGS)

image: ## build the container image
	@$(DOCKER) build --tag consent-proxy .

lock: .venv/.made ## resolve the lock files anew (make lock ARGS=--upgrade)
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(BIN)/python -m venv "$$tools" \
		&& "$$tools/bin/python" -m pip --disable-pip-version-check --quiet install 'uv==$(UV_VERSION)' \
		&& PATH="$$tools/bin:$$PATH" && $(COMPILE) $(ARGS) --extra embedded --output-file requirements.lock \
		&& $(COMPILE) $(ARGS) --extra otel --constraint requirements.lock --output-file requirements-image.lock \
		&& $(COMPILE) $(ARGS) --extra embedded --extra otel --group dev --constraint requirements.lock \
			--constraint requirements-image.lock --output-file requirements-dev.lock

clean: ## remove .venv and every cache, but not .consent-proxy, where data is
	@rm -rf .venv .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: each is as new as the last installation, so a second make starts at once.

.venv/.runtime: .venv/.made requirements.lock pyproject.toml
	@echo 'Installing the service into .venv; the first time takes about a minute.'
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.development: .venv/.made requirements-dev.lock pyproject.toml
	@echo 'Installing the service and the tools into .venv; the first time takes about a minute.'
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch .venv/.runtime $@

.venv/.made:
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || { \
		suits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; \
		for python in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3 python); do \
			if "$$python" -c "$$suits" > /dev/null 2>&1; then exec "$$python" -m venv --clear .venv; fi; \
		done; \
		echo 'No Python 3.11, 3.12 or 3.13 that can make a virtual environment was found$(if $(PYTHON), at $(PYTHON)).' >&2; \
		echo 'Debian, Ubuntu: apt install python3-venv. Fedora: dnf install python3. macOS: brew install python@3.13.' >&2; \
		echo 'Or name one: make PYTHON=/path/to/python3.12 setup' >&2; \
		exit 1; \
	}
	@touch $@
