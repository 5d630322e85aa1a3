# On a fresh machine `make demo` and `make test` do all the set-up.
PYTHON ?= python3
BIN := .venv/bin
AIRFLOW := .airflow/venv/bin
WORKERS ?= 2
# Doctests run in all modules but the entry points and the one that runs inside MLflow.
DOCTESTS := --doctest-modules --ignore=pipeline/nightshift \
	--ignore=pipeline/serving/export/mlflow_pyfunc.py -p no:cacheprovider pipeline

.PHONY: help demo test test-all audit settings-table pictures bench bench-faults bench-slices bench-slices2 bench-remedies \
	bench-evidence bench-peers bench-gpu lint install chromium postgres airflow airflow-tests dag scheduler

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) \
		| awk -F ':.*## ' '{printf "make %-15s %s\n", $$1, $$2}'

install: .venv/.installed  ## the package and its dependencies, in .venv

.venv/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Nightshift needs Python 3.11 or newer; \
	name one: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e '.[dev]'
	@touch $@

demo: install  ## photos of a staff gate, and the whole loop on them (exit code 1: not promoted)
	@$(BIN)/nightshift demo; code=$$?; \
	if [ $$code -eq 1 ]; then echo "Not promoted. The report names the condition that failed."; \
	else exit $$code; fi

lint: install  ## style, format, types, and the layers of the architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The browser tests, the DAG's tests and one of their tests need Chromium, Airflow and PostgreSQL. Each
# is installed if that is possible here; else its tests are skipped with a reason.
chromium:
	@if which chromium || which chromium-browser || which google-chrome; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
			--no-install-recommends chromium \
		|| echo "Chromium could not be installed: the browser tests are skipped."; \
	else echo "No Chromium, and it cannot be installed here: the browser tests are skipped."; fi

airflow-tests:
	@$(MAKE) --no-print-directory airflow \
		|| echo "Airflow could not be installed: the DAG's tests are skipped."

postgres:
	@if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || which pg_ctl; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
			--no-install-recommends postgresql \
		|| echo "PostgreSQL could not be installed: one of the DAG's tests is skipped."; \
	else echo "No PostgreSQL, and it cannot be installed here: one DAG test is skipped."; fi

test: lint chromium airflow-tests postgres  ## lint, doctests and tests: what CI runs
	$(BIN)/python -m pytest -q $(DOCTESTS)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not long'

test-all: lint chromium airflow-tests postgres  ## also the tests that take minutes
	$(BIN)/python -m pytest -q $(DOCTESTS)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

AUDIT_INDEX ?= https://pypi.org/pypi/pip/json
audit: install  ## known vulnerabilities of the installed packages, if the index answers
	@if $(BIN)/python -c 'import sys, urllib.request; \
		urllib.request.urlopen(sys.argv[1], timeout=20)' $(AUDIT_INDEX) 2>/dev/null; \
	then $(BIN)/python -m pip_audit --skip-editable --progress-spinner off; \
	else echo "audit: $(AUDIT_INDEX) does not answer, so NOTHING WAS AUDITED."; fi

settings-table: install  ## write the table of all settings into configs/README.md
	$(BIN)/nightshift settings --markdown > .settings.tmp
	sed -i -e '/<!-- settings -->/,/<!-- end of settings -->/{//!d}' \
		-e '/<!-- settings -->/r .settings.tmp' configs/README.md && rm .settings.tmp

pictures: install  ## the pictures of README.md, from a published run: make pictures RUN=reports/...
	$(BIN)/python -m tests.readme_pictures $(RUN) reports/sample

bench: install  ## measured figures: speed, slices, false alarms
	$(BIN)/python -m pytest tests/bench -o python_files='bench_*.py' -s

bench-faults: install  ## kills, full disks and wrong clocks in every command, into RESULTS.md
	$(BIN)/python -m pytest tests/bench/bench_faults.py -s

bench-slices: install  ## the finder and other methods on planted causes, into tests/bench/RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.run --causes all
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.named --causes all
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.special
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices.nulls
	$(BIN)/python -m tests.bench.slices.speed

bench-slices2: install  ## the held-out half of the second slice benchmark, into RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices2.run --part held_out
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.slices2.named --part held_out

bench-remedies: install  ## the remedy, generic augmentation, placebos, an oracle, into RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.remedies.run

bench-evidence: install  ## the rules of evidence on simulated models, into RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.evidence.bursts
	$(BIN)/python -m tests.bench.evidence.decline_rules
	$(BIN)/python -m tests.bench.evidence.label_savings
	$(BIN)/python -m tests.bench.evidence.challenge_month
	$(BIN)/python -m tests.bench.evidence.openings
	$(BIN)/python -m tests.bench.evidence.nested_groups
	$(BIN)/python -m tests.bench.evidence.gate
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.evidence.real_arms

bench-peers: install  ## the default training beside fastai, timm and Ultralytics, into RESULTS.md
	NO_ALBUMENTATIONS_UPDATE=1 $(BIN)/python -m tests.bench.train.bench_peers

bench-gpu: install  ## training on a GPU as a table; skipped with a reason without one
	$(BIN)/python -m pytest tests/bench/gpu -o python_files='bench_*.py' -s -rs

airflow: install .airflow/venv/.installed  ## Airflow in a virtual environment with frozen versions

.airflow/venv/.installed: dags/constraints.txt
	$(PYTHON) -m venv .airflow/venv
	$(AIRFLOW)/python -m pip install apache-airflow psycopg2-binary asyncpg \
		-c dags/constraints.txt
	echo "$(CURDIR)" > "$$($(AIRFLOW)/python -c \
		'import sysconfig; print(sysconfig.get_path("purelib"))')/nightshift.pth"
	@touch $@

AIRFLOW_SET = AIRFLOW_HOME=$(CURDIR)/.airflow AIRFLOW__CORE__DAGS_FOLDER=$(CURDIR)/dags \
	PATH="$(CURDIR)/$(AIRFLOW):$$PATH" AIRFLOW__CORE__LOAD_EXAMPLES=False \
	AIRFLOW__CORE__PARALLELISM=2 AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=60 \
	AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False

dag: airflow  ## the whole loop once, run by Airflow
	$(AIRFLOW_SET) sh -c 'airflow db migrate && airflow dags test demo'

scheduler: airflow  ## Airflow at http://localhost:8080 until Ctrl-C: runs the scheduled configs
	$(AIRFLOW_SET) AIRFLOW__API__HOST=127.0.0.1 airflow standalone
