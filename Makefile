# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
AIRFLOW := .airflow/venv/bin
WORKERS ?= 2

.PHONY: demo test test-all bench bench-slices bench-remedies bench-gpu lint install chromium postgres airflow airflow-tests dag scheduler

install: .venv/.installed  ## the package and all it needs, in .venv

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Nightshift needs Python 3.11 or newer; name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $@

demo: install  ## draw the gate-camera photos and run everything on them (exit 1: ran to its report, not promoted)
	@$(BIN)/nightshift demo; code=$$?; \
	if [ $$code -eq 1 ]; then echo "Not promoted. The report says which condition failed."; else exit $$code; fi

lint: install  ## style, types, and the layers of the architecture
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

chromium:  # the report's tests need a browser: installed where this may be done, else they are skipped with a reason
	@if which chromium || which chromium-browser || which google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium \
		|| echo "Chromium could not be installed: the browser tests will say so."; \
	else echo "No Chromium, and it cannot be installed from here: the browser tests are skipped."; fi

airflow-tests:  # the DAG's tests need Airflow: installed where this may be done, else they are skipped with a reason
	@$(MAKE) --no-print-directory airflow || echo "Airflow could not be installed: the DAG's tests will say so."

postgres:  # one of the DAG's tests needs it: installed where this may be done, else it is skipped with a reason
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || which pg_ctl; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql \
		|| echo "PostgreSQL could not be installed: the DAG's test will say so."; \
	else echo "No PostgreSQL, and it cannot be installed from here: one of the DAG's tests is skipped."; fi

test: lint chromium airflow-tests postgres  ## everything that CI runs
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not long'

test-all: lint chromium airflow-tests postgres  ## the tests that take minutes too
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

bench: install  ## measured figures: speed, found slices, false alarms
	$(BIN)/python -m pytest tests/bench -o python_files='bench_*.py' -s

bench-slices: install  ## the finder and its peers on planted causes, written into tests/bench/RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.run --causes all
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.named --causes all
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.special
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.nulls
	$(BIN)/python -m tests.bench.slices.speed

bench-remedies: install  ## the remedy against generic augmentation, placebos and an oracle, into tests/bench/RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.remedies.run

bench-gpu: install  ## what a training makes of a GPU, as a table; skipped with a reason where there is none
	$(BIN)/python -m pytest tests/bench/gpu -o python_files='bench_*.py' -s -rs

airflow: install .airflow/venv/.installed  ## Airflow, in an environment of its own with frozen versions

.airflow/venv/.installed: dags/constraints.txt
	$(PYTHON) -m venv .airflow/venv
	$(AIRFLOW)/python -m pip install apache-airflow psycopg2-binary asyncpg -c dags/constraints.txt
	echo "$(CURDIR)" > "$$($(AIRFLOW)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nightshift.pth"
	@touch $@

AIRFLOW_SET = AIRFLOW_HOME=$(CURDIR)/.airflow AIRFLOW__CORE__DAGS_FOLDER=$(CURDIR)/dags PATH="$(CURDIR)/$(AIRFLOW):$$PATH" \
	AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__CORE__PARALLELISM=2 AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=60 \
	AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False

dag: airflow  ## the whole loop once, as Airflow runs it
	$(AIRFLOW_SET) sh -c 'airflow db migrate && airflow dags test demo'

scheduler: airflow  ## Airflow itself, until Ctrl-C: runs what the configs schedule; its page is at http://localhost:8080
	$(AIRFLOW_SET) AIRFLOW__API__HOST=127.0.0.1 airflow standalone
