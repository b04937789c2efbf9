# The two commands a newcomer needs are `make demo` and `make test`; both do all of their set-up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup model demo test check format soak bench constraints cassettes clean

help:  ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1 \t/' | expand -t 20

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Aquila needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> Making $(VENV) and installing what Aquila needs (once; about a minute, a dot for each package)"
	@$(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]' \
	     && touch $@; } | awk '/^Collecting/ {printf "."; fflush()} END {print ""}'
	@test -e $@ || { echo "The installation failed; what pip said is above. Mend it and run make again."; exit 1; }

setup: $(STAMP)  ## Install everything into .venv

model: $(STAMP)
	@$(BIN)/aquila local install

demo: $(STAMP) model  ## Summarise a document with a durable job on the local model
	@$(BIN)/python examples/demo.py

test: $(STAMP) model  ## Run the tests
	@echo "==> Running the tests: no network, no key, real servers on this machine"
	@$(BIN)/python -m pytest -q -n auto --dist loadfile --durations=5
	@echo "==> All green. Next: make demo, make check, or read docs/tutorial.md"

check: $(STAMP)  ## Lint, types, import direction, the cassettes, the code blocks of the docs
	@echo "==> ruff";         $(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@echo "==> mypy";         $(BIN)/mypy
	@echo "==> import-linter"; $(BIN)/lint-imports --no-logo
	@echo "==> cassettes";    $(BIN)/aquila cassette verify --strict cassettes
	@echo "==> docs";         $(BIN)/python -m pytest -q --no-header -p no:cacheprovider README.md docs

format: $(STAMP)  ## Format the code
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format .

soak: $(STAMP)  ## Send jobs and notifications through storms of faults, on SQLite and on PostgreSQL
	@echo "==> The soak: workers, servers and databases are killed, paused and emptied, clocks are moved; about fifteen minutes"
	@$(BIN)/python soak/jobs.py --database sqlite && $(BIN)/python soak/jobs.py --database postgresql
	@$(BIN)/python soak/notifications.py --database sqlite && $(BIN)/python soak/notifications.py --database postgresql

bench: $(STAMP)  ## Measure Aquila against its peers, in one run (14 minutes)
	@test -x .venv-bench/bin/python || { echo "==> Making .venv-bench with the peers (once)"; $(PYTHON) -m venv .venv-bench; }
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[jobs]' -r benchmarks/requirements.txt
	@.venv-bench/bin/python -m benchmarks

constraints: $(STAMP)  ## Pin what is installed now for every later installation
	@{ echo "# What the tests ran with; 'make setup' installs exactly this. Renew with: make constraints"; \
	   $(BIN)/python -m pip freeze --exclude-editable | grep -v '@' ; } > constraints.txt

cassettes: $(STAMP) model  ## Record the project's cassettes anew from the local model
	@$(BIN)/python -m pytest -q --aquila-record=rewrite tests/test_recorded.py README.md docs --ignore=docs/client.md
	@for example in ask conversation shop sinks stream structured_output; do \
	     AQUILA_CASSETTES=rewrite AQUILA_CASSETTE_DIR=cassettes $(BIN)/python examples/$$example.py || exit 1; done
	@$(BIN)/python -m tests.write_cassettes
	@$(BIN)/python -m tests.write_job_cassettes

clean:  ## Stop the local servers and remove .venv and the state folder
	@if [ -x $(BIN)/aquila ]; then $(BIN)/aquila local stop || true; fi
	rm -rf $(VENV) .venv-bench .aquila .pytest_cache .mypy_cache .ruff_cache
