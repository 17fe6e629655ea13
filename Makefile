# make test                              the machine's Python, the newest Django for it
# make test PYTHON=python3.12 DJANGO=5.2 a pair of one's own choice
#
# Needs Python 3.11 or newer and make, nothing else. Each pair has its own environment under .venv/.

GOALS = $(or $(MAKECMDGOALS),help)

# Interpreters are looked for only when one is needed; a shim that does not run is no interpreter.
ifneq ($(filter-out help clean,$(GOALS)),)
IS_USABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
CANDIDATES = python3 python3.14 python3.13 python3.12 python3.11 python
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in $(CANDIDATES); do \
	$$python -c '$(IS_USABLE)' 2>/dev/null && { echo $$python; break; }; done)
endif
PYVER := $(shell $(or $(PYTHON),false) -c '$(IS_USABLE)' 2>/dev/null && \
	$(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
ifeq ($(PYVER),)
$(error $(or $(PYTHON),python3) is no Python 3.11 or newer with the venv module \
	(Debian: apt install python3-venv). Name another one: make $(GOALS) PYTHON=python3.13)
endif
DJANGO ?= $(if $(filter 3.11,$(PYVER)),5.2,6.1)
endif

PAIR = py$(PYVER)-dj$(DJANGO)
VENV = .venv/$(PAIR)
PY = $(VENV)/bin/python
EXTRAS = test,lint$(if $(wildcard tests/browser),$(comma)browser)
DEMO_VENV = .venv/demo-$(PAIR)
BENCH_VENV = .venv/bench-$(PAIR)
comma = ,
PYTEST = $(PY) -m pytest -o cache_dir=$(VENV)/pytest_cache
CACHE = embedded
DB = sqlite
ARGS =
# Tests start many processes of Python, which would each compile what they import.
unexport PYTHONDONTWRITEBYTECODE
INSTALL = -m pip install --quiet --quiet --disable-pip-version-check --root-user-action=ignore

.PHONY: help test pytest pytest-again coverage lint types format demo soak bench bench-warm clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1	\2/p' Makefile | expand -t 16
	@echo
	@echo 'Variables: PYTHON=python3.13 DJANGO=6.1 CACHE=embedded|redis|memcached DB=sqlite|postgres ARGS="-k name"'

test: lint types pytest ## Check style and types, run all tests

# What measures time runs by itself afterwards. ARGS may leave one of both without a test (5).
pytest: $(VENV)/installed $(VENV)/source ## Run the tests alone
	@echo "== pytest ($(PAIR))"
	@$(PYTEST) --numprocesses logical --dist loadfile --ignore tests/timed $(ARGS); first=$$?; \
	$(PYTEST) tests/timed $(ARGS); second=$$?; \
	test $$first = 0 -o $$first = 5 || exit $$first; \
	test $$second = 0 -o $$second = 5 && test $$first.$$second != 5.5 || exit $$second

pytest-again: $(VENV)/installed ## Run what failed last time, one after the other
	@$(PYTEST) --last-failed --last-failed-no-failures=none $(ARGS)

coverage: $(VENV)/installed ## Run the tests, slower, with branch coverage
	@rm -f $(VENV)/coverage
	@COVERAGE_FILE=$(abspath $(VENV)/coverage) $(MAKE) --no-print-directory pytest \
		PYTHON=$(PYTHON) DJANGO=$(DJANGO) ARGS="--cov --cov-append --cov-report= $(ARGS)"
	@COVERAGE_FILE=$(VENV)/coverage $(PY) -m coverage report

lint: $(VENV)/installed ## Check style
	@echo "== ruff ($(PAIR))"
	@$(PY) -m ruff check --quiet .
	@$(PY) -m ruff format --quiet --check . || \
		{ echo 'Not formatted as ruff would: make format' >&2; exit 1; }

types: $(VENV)/installed ## Check types
	@echo "== mypy ($(PAIR))"
	@$(PY) -m mypy --no-error-summary --cache-dir $(VENV)/mypy_cache

format: $(VENV)/installed ## Rewrite the code in the project's style
	@$(PY) -m ruff check --quiet --fix . ; $(PY) -m ruff format --quiet .

demo: $(DEMO_VENV)/installed ## Run the demo site, CACHE=redis DB=postgres
	@exec $(DEMO_VENV)/bin/python demo_site/demo.py --cache $(CACHE) --db $(DB) $(ARGS)

soak: $(VENV)/installed ## Run the tests that take minutes
	@if test -d tests/soak; then $(PY) -m pytest -m soak tests/soak $(ARGS); \
		else echo 'There are no soak tests.'; fi

bench: $(BENCH_VENV)/installed ## Measure speed beside peers, ARGS="--quick --only redis"
	@exec $(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

bench-warm: $(BENCH_VENV)/installed ## Measure warming by size, ARGS="--quick --only redis"
	@exec $(BENCH_VENV)/bin/python -m benchmarks.warm $(ARGS)

clean: ## Remove the environments, caches and reports
	rm -rf .venv .ruff_cache .mypy_cache .pytest_cache .coverage htmlcov dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml
	@echo "== installing into $(VENV)"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) $(INSTALL) --editable '.[$(EXTRAS)]' 'Django~=$(DJANGO).0'
	@touch $@

# Django's own tests are in its source distribution alone; without it one test is skipped.
$(VENV)/source: $(VENV)/installed
	@echo "== fetching Django's tests into $@"
	@mkdir -p $@
	@$(PY) -m pip download --quiet --quiet --disable-pip-version-check --no-deps \
		--no-binary django --dest $@ "Django==$$($(PY) -m django --version)" || \
		echo 'They could not be fetched.' >&2
	@touch $@

$(DEMO_VENV)/installed: pyproject.toml
	@echo "== installing into $(DEMO_VENV)"
	@test -x $(DEMO_VENV)/bin/python || $(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_VENV)/bin/python $(INSTALL) --editable '.[demo]' 'Django~=$(DJANGO).0'
	@touch $@

$(BENCH_VENV)/installed: pyproject.toml
	@echo "== installing into $(BENCH_VENV)"
	@test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(INSTALL) --editable '.[bench]' 'Django~=$(DJANGO).0'
	@touch $@
