# Needs Python 3.11 or newer and make; everything else is set up in $(VENV).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
PARALLEL := -n auto --dist worksteal
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
# The demo and the desk need few packages; an environment for development has them all.
RUNNABLE := $(or $(wildcard $(VENV)/ready),$(VENV)/demo)

.PHONY: help demo serve test test-all test-browser test-celery test-frameworks test-fuzz \
	test-pgbouncer test-pgbouncer-langgraph coverage lint docs openapi lock bench up down clean

help:
	@echo "make demo      sync real data into an embedded PostgreSQL and query it"
	@echo "make serve     chat with a support desk, and look into it in the admin; PORT=8000"
	@echo "make test      run the tests; with TESTS=tests/unit, those"
	@echo "make test-all  run the long ones too"
	@echo "make test-browser    use the admin in a browser, in both its looks"
	@echo "make test-fuzz       send 10,000 requests to the API, and to the MCP server; with EXAMPLES=n, n to each operation"
	@echo "make test-celery     run those of syncs on Celery, with a Redis of their own"
	@echo "make test-pgbouncer  run those behind PgBouncer that it might matter to"
	@echo "make test-frameworks run the suites of agent frameworks, each in an environment of its own;"
	@echo "                     with OPERATIONS=20000, that many random ones beside each oracle"
	@echo "make coverage        measure which lines the unit tests, the contract and the faces reach"
	@echo "make lint      style, language, translations, types, import contracts, missing migrations"
	@echo "make docs      build the documentation site in build/docs/"
	@echo "make openapi   write the API's description and its reference"
	@echo "make lock      write constraints.txt, the versions that development uses"
	@echo "make bench     measure against the raw floor and the peers"
	@echo "make down      stop the demo's database; its data stays in .mastra/"

demo: up
	@echo "Creating the tables …"
	@$(BIN)/python manage.py engine_migrate --verbosity 0
	@$(BIN)/python manage.py demo
	@echo "The database keeps running: make down stops it. Its data stays in .mastra/."

serve: up
	@echo "Creating the tables …"
	@$(BIN)/python manage.py engine_migrate --verbosity 0
	@$(BIN)/python manage.py serve --port $(PORT)

up: $(RUNNABLE)
	@echo "Starting an embedded PostgreSQL in .mastra/ …"
	@$(BIN)/python manage.py engine_add --embedded

down: $(RUNNABLE)
	$(BIN)/python manage.py engine_down

test: $(VENV)/ready
	$(BIN)/pytest $(PARALLEL) $(TESTS)

test-fuzz: $(VENV)/ready
	FUZZ_EXAMPLES=$(or $(EXAMPLES),205) $(BIN)/pytest --timeout=0 tests/api/test_fuzz.py
	FUZZ_EXAMPLES=$(or $(EXAMPLES),530) $(BIN)/pytest --timeout=0 tests/mcp/test_fuzz.py

test-all: $(VENV)/ready
	$(BIN)/pytest $(PARALLEL) -m "not services and not browser"

test-celery: $(VENV)/ready
	.ci/debian redis-server
	PATH="$$PATH:$(CURDIR)/.debian/bin" $(BIN)/pytest -m services tests/distributed

# What may depend on whose connection it is; TESTS="-m 'not services' tests/api" are all of the API.
POOLED := tests/pooled tests/integration/test_transactions.py \
	$(patsubst %,tests/api/test_%.py,examples fuzz http once) \
	$(addprefix tests/contract/test_postgres.py::Test,Syncs SyncTakeover Following Indexing Recall WorkingMemory)
# PgBouncer does not let go of the tests' database: --reuse-db leaves it to its server.
BEHIND_PGBOUNCER := -p tests.pooled.plugin --ds=tests.pooled.settings --reuse-db --create-db
WITH_PGBOUNCER := PATH="$$PATH:/usr/sbin:$(CURDIR)/.debian/bin"
test-pgbouncer: $(VENV)/ready test-pgbouncer-langgraph
	$(WITH_PGBOUNCER) $(BIN)/pytest $(BEHIND_PGBOUNCER) $(PARALLEL) \
		-m "not long" -k "not mock and not flat" $(or $(TESTS),$(POOLED))

# The checkpointer and the store in their own environment, but for tests that end a session.
test-pgbouncer-langgraph: $(VENV)-frameworks/langgraph/ready
	.ci/debian pgbouncer
	$(WITH_PGBOUNCER) $(VENV)-frameworks/langgraph/bin/pytest $(FRAMEWORK_OPTIONS) $(BEHIND_PGBOUNCER) \
		-k "not mock and not random and not killed and not lost_connection" \
		$(patsubst %,tests/frameworks/langgraph/test_%.py,agents conformance processes store)

# Each framework has an environment of its own, with the versions that its requirements.txt pins:
# together they cannot be installed. `make test-framework-langgraph` runs one.
FRAMEWORKS := $(patsubst tests/frameworks/%/requirements.txt,%,$(wildcard tests/frameworks/*/requirements.txt))
FRAMEWORK_OPTIONS = -c tests/frameworks/pytest.ini --rootdir=. --confcutdir=.
test-frameworks: $(FRAMEWORKS:%=test-framework-%)

test-framework-%: $(VENV)-frameworks/%/ready
	$(VENV)-frameworks/$*/bin/pytest $(FRAMEWORK_OPTIONS) \
		$(or $(TESTS),tests/frameworks/$*) $(if $(wildcard tests/frameworks/$*/settings.py),--ds=tests.frameworks.$*.settings)

.PRECIOUS: $(VENV)-frameworks/%/ready
$(VENV)-frameworks/%/ready: tests/frameworks/%/requirements.txt tests/frameworks/requirements.txt | $(VENV)/ready
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python \
		--requirements tests/frameworks/requirements.txt --requirements $<
	@if [ -f $(<D)/package.json ]; then cp $(<D)/package.json $(@D) && \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix $(@D); fi
	@touch $@

$(foreach name,mastra_server mcp,$(eval $(VENV)-frameworks/$(name)/ready: tests/frameworks/$(name)/package.json))

openapi: $(VENV)/ready
	WRITE_GOLDEN=1 $(BIN)/pytest -q tests/api/test_openapi.py tests/api/test_pages.py

# Pictures of every page are left in build/screenshots/.
test-browser: $(VENV)/browser
	$(BIN)/pytest -m browser tests/browser --ds=tests.browser.stock
	$(BIN)/pytest -m browser tests/browser --ds=tests.browser.unfold --ignore=tests/browser/test_desk.py

# The floor in pyproject.toml holds for these folders. Python 3.12 and newer count lines with less
# overhead (sysmon).
COVERED := $(addprefix tests/,unit contract api mastra_server mcp admin commands)
coverage: $(VENV)/ready
	COVERAGE_CORE=$(if $(filter 3.11%,$(shell $(PYTHON) -V | cut -d' ' -f2)),ctrace,sysmon) \
		$(BIN)/pytest $(PARALLEL) --cov --cov-report= $(or $(TESTS),$(COVERED))
	$(BIN)/coverage report --skip-covered --skip-empty --sort=cover

lint: $(VENV)/ready
	$(BIN)/python tools/prose.py
	$(BIN)/python tools/messages.py --check
	$(BIN)/typos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python manage.py makemigrations --check --dry-run --skip-checks

# Broken links and references are errors.
docs: $(VENV)/ready
	$(BIN)/python -m sphinx -W --keep-going --quiet --builder html docs build/docs

# For every supported Python at once. Run it after a change of the dependencies in pyproject.toml.
lock: $(VENV)/ready
	$(BIN)/uv pip compile pyproject.toml --extra dev --extra browser --universal --python-version 3.11 \
		--upgrade --quiet --no-header --no-annotate --output-file constraints.txt

bench: $(VENV)/ready
	$(BIN)/python -m benchmarks records
	$(BIN)/python -m benchmarks record_reads
	$(BIN)/python -m benchmarks syncs
	$(BIN)/python -m benchmarks indexing
	$(BIN)/python -m benchmarks memory
	$(BIN)/python -m benchmarks vectors
	$(BIN)/python -m benchmarks state
	$(BIN)/python -m benchmarks facts
	$(BIN)/python -m benchmarks storages
	$(BIN)/python -m benchmarks peers
	$(BIN)/python -m benchmarks retrieval
	$(BIN)/python -m benchmarks hybrid
	$(BIN)/python -m benchmarks recall
	$(BIN)/python -m benchmarks fusion
	$(BIN)/python -m benchmarks api
	$(BIN)/python -m benchmarks mastra
	$(BIN)/python -m benchmarks mcp

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis

$(VENV)/browser: $(VENV)/ready
	@command -v chromium >/dev/null && command -v npm >/dev/null || \
		{ echo "Chromium and npm are needed; on Debian: apt install chromium npm"; exit 1; }
	$(INSTALL) ".[browser]"
	npm install --silent --no-save --prefix $(VENV) axe-core@4
	@touch $@

# DJANGO="Django~=5.2.0" tests with another version than that of constraints.txt.
$(VENV)/ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the packages for development in $(VENV)/ …"
	$(INSTALL) ".[dev]"
	$(if $(DJANGO),$(BIN)/pip install --quiet --disable-pip-version-check "$(DJANGO)")
	@touch $@

$(VENV)/demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing the packages of the demo in $(VENV)/, about 400 MB; the first time takes a minute or more …"
	@$(INSTALL) ".[demo]"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "This Python cannot create environments; on Debian: apt install python3-venv"; exit 1; }
