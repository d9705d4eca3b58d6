# `make demo` and `make test` are all one needs to know. Each makes .venv and installs what it lacks.
#   make demo     see the three uses work on real input        make serve   run the server with ./pipelines.yaml
#   make test     lint, types, floors, tests                   make bench   measure (bench/README.md)
# Options: PYTHON=python3.12 names the interpreter; KEEP=1 leaves the demo's server running;
# ARGS='tests/unit -k ack' goes to pytest, serve and bench; WORKERS=1 runs the tests in one process after the other.

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLIENTS := .venv-clients
WORKERS := 2
CHECKS := lint-code lint-format lint-types lint-floors
export PYTHON

.PHONY: help demo test lint serve bench clean $(CHECKS)

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

$(INSTALLED): pyproject.toml setup.py constraints.txt .ci/install
	@.ci/install $(VENV)
	@touch $@

# Other people's clients, for tests/clients; without them those tests are left out by name.
$(CLIENTS)/.installed: tests/clients/constraints.txt tests/clients/node/package-lock.json .ci/clients | $(INSTALLED)
	@.ci/clients $(VENV) $(CLIENTS)

demo: $(INSTALLED)
	@$(BIN)/fastembed demo $(if $(KEEP),--keep)

# Every check runs, whatever the others say; pytest's summary comes last, and any failure fails the command.
test: $(INSTALLED) $(CLIENTS)/.installed
	@failed=''; \
	for check in $(CHECKS); do \
	    $(MAKE) --no-print-directory $$check || failed="$$failed $$check"; \
	done; \
	if [ -n "$$failed" ]; then echo "== FAILED before the tests:$$failed"; fi; \
	echo '== pytest'; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS) && [ -z "$$failed" ]

lint: $(INSTALLED) $(CHECKS)

lint-code: $(INSTALLED)
	@echo '== ruff check'
	@$(BIN)/ruff check --quiet .

lint-format: $(INSTALLED)
	@echo '== ruff format --check'
	@$(BIN)/ruff format --check --output-format=concise . || { echo 'not formatted: run $(BIN)/ruff format .'; exit 1; }

lint-types: $(INSTALLED)
	@echo '== mypy'
	@$(BIN)/mypy --no-error-summary && $(BIN)/mypy --no-error-summary tests/typing/plugin.py tests/typing/application.py

lint-floors: $(INSTALLED)
	@echo '== import-linter'
	@out=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }

serve: $(INSTALLED)
	@$(BIN)/fastembed serve $(ARGS)

# The other stream libraries that bench/engine.py compares with; a missing wheel leaves its row empty.
$(VENV)/.bench: $(INSTALLED)
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group bench || \
	    echo 'bench: some of the libraries to compare with could not be installed'
	@touch $@

bench: $(VENV)/.bench
	@$(BIN)/python bench/engine.py $(ARGS)

clean:
	rm -rf $(VENV) $(CLIENTS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
