# make demo and make test do all the set-up themselves: Python 3.11+ is all they need.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Of the tests: one more than the cores of a small machine, since half of their time they wait for brokers.
WORKERS ?= 3
export PYTHONUNBUFFERED := 1
# As `weir` sets it for itself: small products are not worth the threads of a BLAS.
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: help setup demo test test-failed test-clients check format docs bench bench-drift train eval lock clean

help:  ## show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(READY): requirements-dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "weir needs Python 3.11 or newer: install it (Debian: apt-get install python3 python3-venv) or set PYTHON" >&2; exit 2; }
	@echo "setting up $(VENV) with $(PYTHON) (about 1.4 GB on disk, once; it takes one to three minutes)"
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing: apt-get install python3-venv" >&2; exit 2; }
	@echo "installing packages; pip says which, and the large ones take a while"
	@$(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --no-compile -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@# pip compiles on one core alone, and the tests of others too. Some files are for other Pythons.
	@$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true
	@touch $@

setup: $(READY)  ## make the virtual environment .venv
	@echo "ready: make demo shows all of weir; . $(BIN)/activate && weir up runs it for you"

demo: $(READY)  ## run the whole of weir on this machine for a minute and a half and look at what it does
	@$(BIN)/python examples/demo.py

test: $(READY)  ## run all tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-failed: $(READY)  ## run the tests that failed last once more, one after the other
	@$(BIN)/python -m pytest --last-failed --last-failed-no-failures none --maxfail 1

check: $(READY)  ## lint and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

docs: $(READY)  ## write the documentation that is made from the code
	@$(BIN)/python -m schemas.export
	@$(BIN)/python docs/generate.py

bench: $(READY)  ## measure throughput and latency on this machine and print the table
	@$(BIN)/python -m bench

CLIENTS := .venv-clients
$(CLIENTS)/.ready: Makefile
	@echo "setting up $(CLIENTS) with the clients of the gate (about 1 GB on disk, once)"
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check openai aiohttp 'litellm[proxy]' fastapi uvicorn httpx langchain-core opentelemetry-exporter-otlp-proto-http openinference-instrumentation-openai opentelemetry-instrumentation-openai langfuse schemathesis
	@touch $@

test-clients: $(READY) $(CLIENTS)/.ready  ## test the gate with the real clients: OpenAI SDK, LiteLLM, FastAPI, LangChain, OpenTelemetry, Langfuse
	@$(BIN)/python -m pytest tests/clients

bench-drift: $(READY)  ## compare drift detectors on seeded streams and write the table into docs/drift.md (DATA=FOLDER: with real scores)
	@$(BIN)/python -m bench.drift --write $(if $(DATA),--data "$(DATA)")

TRAIN := .venv-train
$(TRAIN)/.ready: pyproject.toml requirements.txt
	@test -n "$(PYTHON)" || { echo "weir needs Python 3.11 or newer: set PYTHON" >&2; exit 2; }
	@echo "setting up $(TRAIN) with torch (about 1.5 GB on disk, once)"
	@$(PYTHON) -m venv $(TRAIN)
	@$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	@$(TRAIN)/bin/python -m pip install --quiet --disable-pip-version-check --constraint requirements.txt --editable '.[train]'
	@touch $@

.PHONY: data
data:
	@test -d "$(DATA)" || { echo "say where the labelled data is, for example: DATA=../data (see docs/evaluation.md)" >&2; exit 2; }

train: data $(TRAIN)/.ready  ## train the shipped weights again: make train DATA=FOLDER
	@$(TRAIN)/bin/python -m detectors.training --data "$(DATA)" --checkpoints .weir/checkpoints

eval: data $(READY)  ## measure the shipped detectors: make eval DATA=FOLDER
	@$(BIN)/python -m detectors.training --data "$(DATA)" --stage eval --stage cards

lock:  ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --upgrade -o requirements.txt
	uv pip compile pyproject.toml --extra local --group dev --constraint requirements.txt --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header -o requirements-dev.txt

clean:  ## remove what was built and the data of `weir up`
	rm -rf $(VENV) $(TRAIN) $(CLIENTS) .weir build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
