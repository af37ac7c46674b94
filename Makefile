# `make demo` and `make test` are all one needs; each makes .venv and installs into it what it lacks.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN = $(VENV)/bin
# One test more at once than there are processors; a worker with nothing left to do takes over others' tests. Each needs
# about 1 GB. `make test PYTEST_OPTIONS="-x"` runs them one by one.
PYTEST_OPTIONS ?= -n logical --maxprocesses 8 --dist worksteal

.PHONY: demo test test-floor chaos lint types bench clean

demo: $(VENV)/.installed-demo
	@# One thread: the model is so small that threads would mostly wait for each other.
	OMP_NUM_THREADS=1 WANDB_MODE=offline $(BIN)/oaml train configs/demo.yaml --wandb --overwrite

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

# The oldest versions that pyproject.toml allows, transformers 4.57 among them, in an environment of their own.
test-floor:
	$(MAKE) test VENV=.venv-floor CONSTRAINTS=constraints-floor.txt PYTEST_OPTIONS='$(PYTEST_OPTIONS) -m "not newest_only"'

# Thousands of stories of trainings that are killed and resumed among faults; `CHAOS_SEED=n` plays one again.
chaos: $(VENV)/.installed-dev
	CHAOS_STORIES=$${CHAOS_STORIES:-1000} $(BIN)/python -m pytest tests/test_chaos.py $(PYTEST_OPTIONS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/callback_cost.py
	$(BIN)/python benchmarks/batched_generation.py
	$(BIN)/python benchmarks/parse_and_grade.py
	$(BIN)/python benchmarks/table_cost.py
	$(BIN)/python benchmarks/run_folder_cost.py
	$(BIN)/python benchmarks/viewer_speed.py

clean:
	rm -rf .venv .venv-floor demo_data training_output wandb

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed; PYTHON=python3.x names another") if sys.version_info < (3, 10) else 0'
	$(PYTHON) -m venv $(VENV)

# --no-compile: Python compiles what is imported when it is; that is a quarter of what pip would compile.
$(VENV)/.installed-demo: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c $(CONSTRAINTS) -e ".[wandb,viewer]"
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -c $(CONSTRAINTS) -e ".[dev]"
	@# Its own pages are made from our run folders; for that it needs nothing of the 540 MB that it depends on.
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps openadapt-ml==0.17.0 openadapt-types==0.24.0
	@# W&B's schema of a sweep, which ours is held against; it pins an old numpy, and only its one file is read.
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile --no-deps sweeps==0.3.0
	@touch $@ $(VENV)/.installed-demo
