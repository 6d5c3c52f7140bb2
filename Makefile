# make demo   a small model's life on this machine's own Python library, and two classifiers of Chinese reviews, in six minutes
# make test   the tests (under fifteen minutes on two cores)
# make check  format, lint, types, layers, file length, spelling (under two minutes)
# make proof-NAME, bench-NAME   the full counts, and the measurements beside peers
# make peers  the engines that bench-generate measures us beside; llama.cpp is built here

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/quickstart
REVIEWS ?= runs/reviews-zh
JOBS ?= 2
QUICK ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format clean peers
.SUFFIXES:
SHELL := /bin/bash -o pipefail

help:
	@grep '^# make' Makefile | sed 's/^# //'

# The virtual environment, with exactly the versions of constraints.txt.
$(VENV)/.demo: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wenlu needs Python 3.11 or newer; say which with: make PYTHON=python3.12 demo")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[data,gguf,lang-zh,serve,tasks,tune]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo requirements-dev.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]' --requirement requirements-dev.txt
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/wenlu run recipes/quickstart.toml --out $(RUN)
	$(BIN)/wenlu compare recipes/reviews-zh.toml compare.rungs=linear-svm,recipe compare.ablation=false 'compare.budget="1 minute"' --out $(REVIEWS)
	@echo 'Your own file, with a text and a label in each row:'
	@echo '  . $(BIN)/activate'
	@echo '  wenlu compare recipes/classify.toml data.train=YOUR.csv data.test=0.2 data.text=COLUMN data.label=COLUMN compare.budget="5 minutes"'

# Not sorted by their number of tests: the files with few take longest, and one worker would wait for the other at the end.
test: $(VENV)/.dev
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_lengths.py
	$(BIN)/codespell

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The full counts of tests/NAME; the dated output is committed as docs/proofs/NAME.txt.
proof-%: $(VENV)/.dev
	@mkdir -p docs/proofs
	{ date -u +%Y-%m-%d; uname -srm; grep -m1 'model name' /proc/cpuinfo; git describe --always --dirty; \
	  WENLU_PROOF=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest tests/$* --no-header --timeout=3000 --verbose --color=no; } | tee docs/proofs/$*.txt

# The ladder of cheap models beside recipes on real data: is it worth it? Writes docs/results.md.
proof-ladders: $(VENV)/.dev
	$(BIN)/python benchmarks/ladders.py $(SET)

# What recipes reach on real data; resumable, SEEDS=1 for a first look. Writes docs/results.md.
proof-results: $(VENV)/.dev
	$(BIN)/python benchmarks/results.py $(SET) $(if $(SEEDS),--seeds $(SEEDS))

# The same texts explained by a linear model, an LSTM and an encoder. Writes docs/results.md.
proof-explanations: $(VENV)/.dev
	$(BIN)/python benchmarks/explanations.py $(SET)

bench-%: $(VENV)/.dev
	$(BIN)/python benchmarks/$*.py $(if $(QUICK),--quick)

# The engines that `make bench-generate` measures us beside, in an environment of their own; llama.cpp is built here.
peers: $(VENV)-peers/.peers

$(VENV)-peers/.peers: benchmarks/peers/generation/requirements.txt
	@test -x $(VENV)-peers/bin/python || $(PYTHON) -m venv $(VENV)-peers
	CMAKE_ARGS='-DGGML_NATIVE=ON' $(VENV)-peers/bin/python -m pip install --quiet --requirement $<
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-peers .make .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
