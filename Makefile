# What the README tells. Needs make and Python 3.11 or newer; all else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

CASES := one_task fan_out many_tasks late_join starts redis_store instruction_cost faces data_file idle_readers two_workers promises

# Tests of one module share what they start, so a module stays on one worker. (xdist 3.8 does not see
# groups of tests with pytest 9.2.) More than four workers would each load and collect all tests for
# nothing: on two cores six took 394 s of CPU, four 270.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 \
	--dist loadfile --no-loadscope-reorder

.PHONY: run test test-all soak test-compose faults lint audit screenshots bench lock vendor wheel clean

run: $(VENV)/.run  ## Run the service at http://127.0.0.1:8000
	$(BIN)/longtask serve

test: $(VENV)/.dev lint  ## Run the tests, some of them in a small dose
	$(PYTEST) -m "not soak" --hypothesis-profile dose

soak: $(VENV)/.dev  ## Run what takes long, at full size
	$(PYTEST) --maxprocesses 2 -m "soak or hypothesis"

test-all: test soak  ## Run every test, at full size

test-compose: $(VENV)/.dev  ## Build the compose stack and break its parts (needs Docker)
	$(BIN)/python -m pytest -s tests/end_to_end/compose_stack.py

faults: $(VENV)/.dev  ## Break a whole deployment at random, for SECONDS=1800 (STORE=file, SEED=...)
	$(BIN)/python -m tests.faults.run --store $(or $(STORE),redis) \
		--seconds $(or $(SECONDS),1800) $(if $(SEED),--seed $(SEED))

lint: $(VENV)/.dev  ## Style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit:  ## Known faults of what we depend on (needs the internet)
	test -x .audit/bin/pip-audit || { $(PYTHON) -m venv .audit && .audit/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	.audit/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip

screenshots: $(VENV)/.dev vendor  ## Make the pictures of the page in docs anew
	$(BIN)/python -m tests.browser.screenshots

bench: $(VENV)/.bench  ## Measure; figures as a table, and as JSON in benchmarks/results
	mkdir -p benchmarks/results
	for case in $(CASES); do \
	  $(BIN)/python -m benchmarks.$$case --json benchmarks/results/$$case.json || exit 1; done

vendor:  ## Put highlight.js, KaTeX and a bundle beside the page (needs npm)
	$(PYTHON) vendor/fetch.py

wheel: vendor $(VENV)/bin/python  ## Build dist/*.whl, with what the page needs
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

lock:  ## Write requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --extra dev --extra bench --universal --python-version 3.11 --upgrade \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet \
		--output-file requirements.lock

clean:
	rm -rf $(VENV) .audit .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo "Installing into $(VENV), once: this takes half a minute."
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: pyproject.toml requirements.lock vendor/package-lock.json | $(VENV)/bin/python
	@echo "Installing into $(VENV), with what the tests need, once: this takes a minute."
	$(PIP) --editable ".[dev]"
	-$(PYTHON) vendor/fetch.py
	touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) --editable ".[dev,bench]"
	touch $@
