# make demo       the whole study on small data, in minutes, with its page
# make reproduce  the paper's study on MNIST: hours on a CPU
# make test       the tests
# make faults     the slow tests too: every wrong input, processes killed, disks full (half an hour)
# make bench      how fast, compared with what, into outputs/benchmarks/mine (half an hour; `make extras` before adds PyTorch and JAX)
# make mutants    take each protection out and see that its test notices (half an hour)
# Each sets everything up first, in .venv. `make lab` opens the notebooks, `make lock` renews requirements.txt,
# `make report` makes everything again that is derived from the official runs.

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: demo reproduce test faults bench extras mutants lab report lock

demo: $(VENV)/ready
	snakemake --quiet rules --config overlay=params/demo.yaml

reproduce: $(VENV)/ready
	snakemake --quiet rules

test: $(VENV)/ready
	python -m pytest tests

faults: $(VENV)/ready
	mkdir -p outputs/tests
	python -m pytest $(wildcard tests/test_[2356789]_*.py) -m "slow or not slow" --junitxml outputs/tests/all.xml
	python workflow/trust.py outputs/tests/all.xml > outputs/tests/trust.csv

mutants: $(VENV)/ready
	mkdir -p outputs/tests
	python tests/mutants.py > outputs/tests/protections.csv

# `make bench BENCH=outputs/benchmarks/<machine>` makes one to keep
BENCH := outputs/benchmarks/mine
bench: $(VENV)/ready
	mkdir -p $(BENCH)
	papermill notebooks/benchmark.ipynb $(BENCH)/benchmark.ipynb -p folder $(BENCH) --log-output --no-progress-bar

extras: $(VENV)/ready
	python -m pip install --quiet --disable-pip-version-check jax==0.10.2 torch==2.13.0

lab: $(VENV)/ready
	jupyter lab

OFFICIAL := outputs/reference
PAPERMILL := papermill --no-progress-bar --log-level ERROR
report: $(VENV)/ready
	mkdir -p $(OFFICIAL)/summary
	$(PAPERMILL) notebooks/summary.ipynb $(OFFICIAL)/summary/summary.ipynb -p results $(OFFICIAL) -p params params/paper
	python workflow/compare.py --csv $(OFFICIAL)/repetition/04-one-thread.ipynb \
	  $(OFFICIAL)/04-adam-0.0001.ipynb $(OFFICIAL)/seeds/04-adam-0.0001-seed-1.ipynb \
	  $(filter-out %/04-one-thread.ipynb,$(wildcard $(OFFICIAL)/repetition/*.ipynb)) > $(OFFICIAL)/summary/tiers.csv
	for table in trust protections; do [ ! -f outputs/tests/$$table.csv ] || cp outputs/tests/$$table.csv $(OFFICIAL)/summary; done
	$(PAPERMILL) notebooks/verdicts.ipynb $(OFFICIAL)/summary/verdicts.ipynb
	$(PAPERMILL) notebooks/paper_audit.ipynb $(OFFICIAL)/summary/paper_audit.ipynb -p findings_path $(OFFICIAL)/summary/findings.csv
	$(PAPERMILL) notebooks/draw_a_digit.ipynb $(OFFICIAL)/summary/draw_a_digit.ipynb -p page $(OFFICIAL)/draw_a_digit.html
	python workflow/manifest.py $(OFFICIAL)
	python workflow/stamp.py README.md

lock: $(VENV)/ready
	python -m pip install --quiet uv==0.13.9
	python workflow/direct_pins.py | uv pip compile - --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command "make lock" --quiet --output-file requirements.txt

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is: $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	touch $@
