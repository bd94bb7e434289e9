# make demo   the whole loop for Cube Lift, from teleoperated episodes to a retrained VLA
# make serve  Prefect's server, the deployments and a worker on this machine (make worker SLOT=gpu: for another's server)
# make test   the tests
# make gc     free disk: drops models and datasets that no kept commit uses, never an episode (make gc ARGS=--dry: shows)
# make long   the tests that CI has no time for
# make wire   the tests of the wire twin, which runs in real time: with nothing else on the machine
# make latest the tests with the newest versions that pyproject.toml allows (or beyond: make latest BEYOND='prefect>=4 fastapi')
# make docs   the documentation site, into build/site; any warning is an error
# make check  format, lint, types, import contracts, every test (the slow ones too)

SLOT ?= cpu
PYTHON ?= $(shell command -v python3.12 || command -v python3)
BIN := .venv/bin
READY := .venv/.installed

# Compiled bytecode halves the import time of torch and LeRobot; one thread a process is the fastest on few cores.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS := 1
export TOKENIZERS_PARALLELISM := false
export DVC_NO_ANALYTICS := 1
# DVC stops where the user id has no name, as in a container started with `-u`.
export USER ?= $(shell id -un 2>/dev/null || id -u)

.PHONY: demo serve worker test docs latest wire check slow slow-flows slow-library long format lint type install gc clean

demo: $(READY)
	@$(BIN)/ocrrl demo

serve: $(READY)
	$(BIN)/python -m flows.serve

worker: $(READY)
	$(BIN)/python -m flows.worker --slot $(SLOT)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not wire and not gpu and not robot"

docs: $(READY)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -d build/doctrees docs build/site
	@echo "open build/site/index.html"

check: $(READY) lint type
	$(BIN)/python -m pytest -m "not gpu and not robot"

LATEST := .work/latest

latest: $(READY)
	mkdir -p $(LATEST) && echo '$(BEYOND)' | tr ' ' '\n' > $(LATEST)/beyond.txt
	uv pip compile --quiet --upgrade --all-extras --no-emit-index-url --overrides $(LATEST)/beyond.txt pyproject.toml -o $(LATEST)/requirements.txt
	uv venv --quiet --clear $(LATEST)/venv
	uv pip sync --quiet --python $(LATEST)/venv/bin/python $(LATEST)/requirements.txt
	uv pip install --quiet --python $(LATEST)/venv/bin/python --no-deps -e .
	touch $(LATEST)/venv/.installed
	@echo "other versions than in requirements.lock:"; for of in requirements.lock $(LATEST)/requirements.txt; do sed -n 's/^\([a-z][^ ;]*==[^ ;]*\).*/\1/p' $$of; done | sort | uniq -u
	$(MAKE) test BIN=$(LATEST)/venv/bin READY=$(LATEST)/venv/.installed

wire: $(READY)
	$(BIN)/python -m pytest -m "wire"

# Two parts that take about as long, for two cores.
slow: slow-flows slow-library

slow-flows: $(READY)
	$(BIN)/python -m pytest -m "slow and not long" tests/flows tests/policies

slow-library: $(READY)
	$(BIN)/python -m pytest -m "slow and not long" --ignore tests/flows --ignore tests/policies

long: $(READY)
	$(BIN)/python -m pytest -m "long"

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

type: $(READY)
	$(BIN)/pyright

install: $(READY)

gc: $(READY)
	$(BIN)/python -m tasks.collect_garbage $(ARGS)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' || \
		{ echo "Python 3.12 must be here as python3.12 or python3 (or: make PYTHON=/path/to/python3.12)"; exit 1; }
	@mkdir -p .venv && date +%s > .venv/.begun
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@echo "installed in $$(( $$(date +%s) - $$(cat .venv/.begun) )) s"; touch $@

clean:
	rm -rf .work build *.egg-info
