# isojoule: `make report` runs the main job, `make test` passes the tests. Everything is installed into .venv.
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell command -v $(p) 2>/dev/null)))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
QUICK := runs/iso_loss_quick
STUDY := runs/iso_loss_cpu
# One CUDA card: the Python that has its torch, how long a call may take, where results go.
GPU := .venv-gpu
GPU_PYTHON ?= python3
GPU_MINUTES ?= 9.5
GPU_OUT ?= runs/gpu
GPU_WHEELS ?= wheels
# Wheels for the machine with the card: Linux on x86-64, Python 3.12.
WHEEL_TAGS := --python-version 3.12 --implementation cp $(foreach n,39 34 31 28 27 24 17,--platform manylinux_2_$(n)_x86_64) \
	--platform manylinux2014_x86_64
# Layers that import no torch are typed strictly.
TYPED := harness/core harness/data harness/sensors harness/measure harness/serving harness/analysis harness/report \
	harness/exports harness/flops/published harness/tracking harness/cli/model.py

.DEFAULT_GOAL := help
.PHONY: help report study test check faults fuzz bench bench-meter bench-models bench-models-gpu bench-report bench-stats \
	bench-study gpu gpu-rehearsal gpu-wheels

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

report: $(VENV)/.installed ## run the quick study (resumes) and write its report: about 12 minutes on 2 cores
	$(BIN)/isojoule run -m experiment=iso_loss_quick
	@echo "The report:"
	@$(BIN)/isojoule report $(QUICK)

study: $(VENV)/.installed ## run the full CPU study (resumes) and write its report: one to three hours on 2 cores
	$(BIN)/isojoule run -m experiment=iso_loss_cpu
	@echo "The report:"
	@$(BIN)/isojoule report $(STUDY)

test: $(VENV)/.installed-dev ## run the tests
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

check: $(VENV)/.installed-dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict $(TYPED)
	$(BIN)/lint-imports

faults: $(VENV)/.installed-dev ## real kills, full disks, broken files and clocks that jump, played on small studies: over an hour
	$(BIN)/python -m pytest -q -s -m faults tests/faults

fuzz: $(VENV)/.installed-dev ## ten minutes of hostile files through every loader
	$(BIN)/python -m tests.fuzz.fuzz_loaders --seconds 600

gpu: $(GPU)/.installed ## all steps on one CUDA card: ten minutes a call, each goes on where the last stopped (docs/gpu.md)
	$(GPU)/bin/python -m bench.gpu.run --out $(GPU_OUT) --minutes $(GPU_MINUTES) $(GPU_OPTIONS)

gpu-rehearsal: $(VENV)/.installed-dev ## the same steps in small without a card: 5 minutes
	$(BIN)/python -m bench.gpu.run --rehearse --out runs/gpu_rehearsal

gpu-wheels: $(VENV)/bin/python ## fetch what a card's machine without a network lacks into wheels/, for Python 3.12
	$(PIP) download --no-deps --only-binary=:all: $(WHEEL_TAGS) -c constraints.txt -d $(GPU_WHEELS) \
		-r bench/gpu/wheels.txt
	$(PIP) wheel --no-deps -c constraints.txt -w $(GPU_WHEELS) -r bench/gpu/pure.txt

bench: bench-meter bench-models bench-stats bench-report bench-study ## compare with peers, and the statistics with known truth

bench-models: $(VENV)/.installed-dev ## layers, training and decoding against transformers: 15 minutes
	$(BIN)/python -m bench.models.run

bench-models-gpu: $(VENV)/.installed-dev ## layers, training and decoding on one CUDA card of 80 GB: 8 minutes
	$(BIN)/python -m bench.models.gpu

bench-stats: $(VENV)/.installed-dev ## intervals, verdicts and fits against thousands of simulated studies: 13 minutes
	$(BIN)/python -m bench.stats.run

bench-report: $(VENV)/.installed-dev ## pages of 100 to 10000 runs: built, opened and sorted in Chromium: 10 minutes
	$(BIN)/python -m bench.report.run

bench-study: $(VENV)/.installed-dev ## what a run in a study costs over bare training: 5 minutes
	$(BIN)/python -m bench.study.overhead --write

bench-meter: $(VENV)/.installed-dev $(PEERS)/.installed ## the meter against zeus, codecarbon and carbontracker: 10 minutes
	$(BIN)/python -m bench.meter.run

$(PEERS)/.installed: bench/meter/peers.txt | $(VENV)/bin/python
	$(BIN)/python -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check --quiet install -r bench/meter/peers.txt
	@touch $@

# The card's own Python keeps its torch: what it has is seen through a path, what it lacks comes from wheels/.
$(GPU)/.installed: pyproject.toml setup.py bench/gpu/wheels.txt bench/gpu/pure.txt
	@$(GPU_PYTHON) -c 'import torch' || { echo "make: $(GPU_PYTHON) has no torch; name the Python that has it: make gpu GPU_PYTHON=/path/to/python3" >&2; exit 2; }
	$(GPU_PYTHON) -m venv --without-pip $(GPU)
	$(GPU_PYTHON) -c 'import sys; print(*[p for p in sys.path if p.endswith("-packages")], sep="\n")' \
		> $$($(GPU)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/card.pth
	$(GPU_PYTHON) -m pip --disable-pip-version-check --quiet --python $(GPU)/bin/python install --no-deps --no-build-isolation \
		$(if $(wildcard $(GPU_WHEELS)/*.whl),--no-index --find-links $(GPU_WHEELS)) \
		-r bench/gpu/wheels.txt -r bench/gpu/pure.txt -e .
	@touch $@

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "make: no python3 found; install Python 3.11, 3.12 or 3.13." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "make: $$($(PYTHON) --version) will not do; give Python 3.11 to 3.13: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py constraints.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
