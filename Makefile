# Each target makes its own .venv when there is none; nothing else has to be installed first but Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The tests wait for brokers and daemons more than they work: three for each of two cores keep both busy (decision 56).
JOBS ?= 6
# What Python compiles is kept, whatever the surroundings say: the tests start the program hundreds of times.
export PYTHONDONTWRITEBYTECODE :=
# What is a shell script by its name or its first line, so that none is skipped; an archive has no git to ask.
NOT_OURS := .git .venv .cache .gpu .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache var dist build
SHELL_SCRIPTS = $(shell find . $(NOT_OURS:%=-path ./% -prune -o) -type f -exec awk \
  'FNR == 1 && (FILENAME ~ /\.(ba)?sh$$/ || /^\#!.*[\/ ](ba|da|k)?sh( |$$)/) { print FILENAME } FNR > 1 { nextfile }' {} +)

.PHONY: help setup demo kafka test test-browser test-production chart-test faults soak mutate-policy check check-types check-style format docs contracts boot-test wheel lock bench clean
.DEFAULT_GOAL := help

help: ## This list.
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml rtcc_bridge/matching/int8_rows.c
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' || \
	  { echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make PYTHON=python3.11 setup" >&2; exit 1; }
	@echo "Installing into $(VENV), once: a few minutes, 2.4 GB. Packages come from the network; later runs need none."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); echo "$(PYTHON) makes no venv (Debian: install python3-venv)" >&2; exit 1; }
	scripts/install
	touch $@

setup: $(STAMP) ## Installs everything into .venv from the lock file.

demo: $(STAMP) ## An imminent-threat alert becomes a lead, on this machine. FACES=DIR: your pictures; CHECK=1: plays the story; KAFKA=host:port: your broker.
	$(BIN)/rtcc-bridge demo $(if $(FACES),--faces "$(FACES)") $(if $(KAFKA),--kafka "$(KAFKA)") $(if $(CHECK),--check)

kafka: $(STAMP) ## Apache Kafka on loopback until Ctrl-C (needs a JDK 17 and Maven). ARGS="--nodes 3" and others: scripts/kafka start --help.
	scripts/kafka start $(ARGS)

test: $(STAMP) ## All tests on the embedded parts, six at a time, ten to twelve minutes on two cores. ARGS="-k name" narrows, JOBS=0 runs one at a time.
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(ARGS)

test-production: $(STAMP) ## The tests that use a broker or a database once more, on Apache Kafka and PostgreSQL; with the short fault test.
	$(BIN)/pytest -n $(JOBS) --dist worksteal --broker kafka --database postgresql $(ARGS)

test-browser: $(STAMP) ## The tests in a real Chromium alone; part of `make test`. Says what to install when there is none.
	@command -v chromium >/dev/null || { echo "The tests of the pages need Chromium (Debian: apt-get install chromium)" >&2; exit 1; }
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m browser tests/e2e tests/docs $(ARGS)

chart-test: $(STAMP) ## The tests of the Helm chart alone; part of `make test`. Needs Go, which builds Helm once.
	$(BIN)/pytest -n $(JOBS) --dist worksteal tests/chart $(ARGS)

faults: $(STAMP) ## Kills, outages, partitions on Apache Kafka and PostgreSQL; half an hour. SHORT=1: a few minutes; ARGS="--only NAME" narrows.
	$(BIN)/python -m tests.e2e.faults $(if $(SHORT),--short) $(ARGS)

soak: $(STAMP) ## Twenty minutes of steady load: memory and file descriptors. MINUTES=3 for a trial.
	$(BIN)/python -m tests.e2e.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

mutate-policy: $(STAMP) ## Takes each check of the policy out in turn: the tests of its rule have to notice. Half an hour and more; goes on where it was. ARGS="--rule P12".
	$(BIN)/python -m tests.mutation --jobs $(JOBS) $(ARGS)

check: check-style check-types ## Format, lint, types, import contracts, dependencies, scripts, generated documents.

check-types: $(STAMP)
	$(BIN)/mypy

check-style: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/shellcheck $(SHELL_SCRIPTS)
	$(BIN)/python scripts/generate_docs.py --check
	$(BIN)/python scripts/generate_chart_reference.py --check

format: $(STAMP) ## Formats the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP) ## Writes the generated documents, and the site of all of them to var/site.
	$(BIN)/python scripts/generate_docs.py
	$(BIN)/python scripts/generate_chart_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	$(BIN)/python scripts/check_site.py var/site

contracts: $(STAMP) ## Judges the AsyncAPI and the OpenAPI document by their own tools (needs Node.js; fetches them once).
	$(BIN)/pytest -q tests/contracts

boot-test: $(STAMP) ## Follows docs/install-server.md on a systemd that it boots in namespaces of this machine (root).
	RTCC_TEST_BOOT=1 $(BIN)/pytest -q tests/docs/test_runnable.py -k installed $(ARGS)

wheel: $(STAMP) ## Builds dist/rtcc_bridge-VERSION-py3-none-PLATFORM.whl, alone there: an image takes what it finds.
	rm -f dist/rtcc_bridge-*.whl
	$(BIN)/python -m hatchling build --target wheel

lock: $(STAMP) ## Writes the lock files again.
	scripts/lock

bench: $(STAMP) ## Measures; see bench/. FACES=DIR: enrolment too, of your pictures.
	$(BIN)/python -m bench.report
	$(BIN)/python -m bench.embed
	$(BIN)/python -m bench.batcher --plot docs/batching.svg
	$(BIN)/python -m bench.stream
	$(BIN)/python -m bench.loading
	$(BIN)/python -m bench.gallery_upkeep
	$(BIN)/python -m bench.audit
	$(BIN)/python -m bench.pages
	$(if $(FACES),$(BIN)/python -m bench.enroll --faces "$(FACES)")
	$(BIN)/python -m bench.detect $(if $(DATA),--data "$(DATA)")

clean: ## Removes .venv and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
