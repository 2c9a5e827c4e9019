# What to run: `make demo` to see it work, `make` for the list. Each target makes the environment that it needs.
# Another Python: `make demo PYTHON=python3.13`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo ui notebook test fuzz e2e lint docs bench bench-week bench-coverage lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## simulate a platform, sync it over some days, print the report
	$(BIN)/iodm demo

ui: $(READY) ## serve Dagster's pages over the warehouse
	$(BIN)/python -m iodm_assets.ui

notebook: $(READY) ## open the reports as an app in a browser, over the warehouse
	$(BIN)/marimo run notebooks/upgrade_success.py

test: $(READY) ## every test but the end-to-end ones, in random order, with coverage
	$(BIN)/pytest -m "not e2e" --numprocesses auto --dist worksteal --cov --cov-report=term:skip-covered

fuzz: $(READY) ## 50,000 schedules of syncs (`make test` draws 200, CI 2,000), every kill and 200 at random moments (5, CI 20): some hours
	IODM_FUZZ=1 $(BIN)/pytest tests/extract/test_completeness.py tests/extract/test_kills.py tests/extract/test_torn_syncs.py --numprocesses 2

e2e: $(READY) ## tests with real processes, a browser and a database (needs Chromium and PostgreSQL)
	$(BIN)/pytest -m e2e --numprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(READY) ## style, SQL, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/sqlfluff lint sql
	$(BIN)/mypy

docs: $(READY) ## write the generated documents anew
	$(BIN)/python -m pipelines.dictionary > docs/data-dictionary.md
	PYTHONPATH=tests $(BIN)/python tests/sql/test_cookbook.py

bench: $(READY) ## measure against a bare loop, dlt and pandas, and what reports and Dagster cost (about ten minutes)
	$(BIN)/python benchmarks/run.py

bench-week: $(READY) ## count the calls of a simulated week, compare its end with the platform (about 15 minutes)
	$(BIN)/python benchmarks/week.py

bench-coverage: $(READY) ## how often intervals and hotspots are right, on simulated fleets (about three minutes)
	$(BIN)/python benchmarks/coverage.py

# Extras stay in the lock: pip refuses `gql==` for `gql[requests]` where hashes are required.
lock: ## renew requirements.lock from pyproject.toml (about two minutes)
	@test -x $(BIN)/pip-compile || $(MAKE) $(READY)
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --all-extras --build-deps-for editable --generate-hashes \
		--no-strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --output-file requirements.lock pyproject.toml

clean: ## remove environments, caches and build products; never touches warehouse/
	rm -rf $(VENV) .peers build dist benchmarks/work *.egg-info .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -type d -name __pycache__ -not -path './warehouse/*' -prune -exec rm -rf {} +

# The stamp is written last: an environment that was interrupted is made again.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV): about a minute, once."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
