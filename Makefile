# Each target does all of its own set-up in .venv. Torch is optional: it is installed when the registry offers a build
# for this Python, and everything works without it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pinned: a plain `torch` takes the newest CUDA build, gigabytes of it
TORCH ?= torch==2.13.0

.PHONY: demo test lint gpu seeds clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@if [ -n "$(TORCH)" ]; then \
		$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)" \
		|| echo "PyTorch could not be installed; going on without it" >&2; \
	fi
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

# what most people ask about first; `harness bench` without a selector takes everything
DEMO := 'sum/*' 'dot/*' 'softmax/*' 'log_softmax/*' 'logsumexp/*' 'cross_entropy/*'

demo: $(VENV)/installed
	$(BIN)/harness bench $(DEMO) || [ $$? -eq 3 ]
	@$(BIN)/harness report

# side by side, one process per core; then, alone on the machine, what depends on times. What failed is tried once more,
# alone, and that is said: what another guest of the machine did to a minute is no defect, what fails twice is one. So is
# a process of pytest that dies (nothing is tried again then). What was read and compiled once is there for all of them;
# Python files too, since a worker in its sandbox may write nothing, and would compile what it imports at each start.
test: $(VENV)/installed
	@$(BIN)/python -m compileall -q harness cases implementations reports
	@code=0; \
	HARNESS_TEST_CACHE=$$(mktemp -d) && export HARNESS_TEST_CACHE && trap 'rm -rf "$$HARNESS_TEST_CACHE"' EXIT; \
	again() { echo "once more, alone: what failed of the tests that are $$1" \
		&& $(BIN)/python -m pytest -m "$$1" --last-failed --last-failed-no-failures none; }; \
	$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder --max-worker-restart 0 -m 'not timed' \
		|| { [ $$? -eq 1 ] && again 'not timed'; } || code=1; \
	$(BIN)/python -m pytest -m timed || { [ $$? -eq 1 ] && again timed; } || code=1; \
	exit $$code

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# on a machine with a GPU: the timers, then conformance there and on the CPU device, held against each other, and the table of times
gpu: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[cupy]'
	$(BIN)/python -m pytest tests/test_device_gpu.py
	$(BIN)/python -m harness.reports.measured --device cupy --out reports/measured --minutes 8

# no correct implementation may be rejected, whatever is drawn: everything, over twenty fresh seeds (about two hours)
seeds: $(VENV)/installed
	HARNESS_TEST_SAMPLE=all $(BIN)/python -m pytest -m timed tests/test_corpus.py
	for run in $$(seq 20); do $(BIN)/harness check --store $$(mktemp -d)/results.sqlite | tail -1 || exit 1; done

clean:
	rm -rf $(VENV) .harness build *.egg-info
