# Two commands on a fresh machine with Python 3.11: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export PYTHONUNBUFFERED := 1

.PHONY: demo test test-long test-server check bench lock clean assets

$(STAMP): requirements.lock pyproject.toml scripts/setup
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup

demo: $(STAMP)  ## hub + two facilities + portal simulator; ONCE=1 runs the story and stops
	$(BIN)/benhan demo $(if $(ONCE),--once,) --out demo-out

test: $(STAMP)  ## every test, seeded samples
	sh scripts/bootstrap
	$(BIN)/python -m pytest -n 3 --dist loadgroup -m "not long"

test-long: $(STAMP)  ## the full counts
	sh scripts/bootstrap
	sh scripts/judges
	$(BIN)/python -m pytest -n 3 --dist loadgroup

test-server: $(STAMP)  ## store and isolation tests against a PostgreSQL 15 server
	sh scripts/bootstrap
	sh scripts/with-server $(BIN)/python -m pytest -m "server and not long" tests/store

check: $(STAMP)  ## format, lint, types, import layers
	sh scripts/check

bench: $(STAMP)
	$(BIN)/benhan bench

lock:  ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile -q pyproject.toml --group dev --generate-hashes --python-version 3.11 --no-header -o requirements.lock

assets: $(STAMP)  ## vendor web assets again from npm
	$(BIN)/python scripts/vendor_assets

clean:
	rm -rf $(VENV) demo-out demo-home dist build
