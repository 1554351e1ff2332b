# `make` alone says what there is. What runs our code first sets up .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# for what the commands start; Apple's make does not look there itself
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONDONTWRITEBYTECODE := 1
OFFICIAL := outputs/reference
BENCH := outputs/benchmarks/mine
PAPERMILL := $(BIN)/papermill --no-progress-bar --log-level ERROR
ALONE := --HTMLExporter.mathjax_url= --HTMLExporter.require_js_url= --HTMLExporter.jquery_url=  # a page that asks nobody for anything

.PHONY: editions help setup demo reproduce test faults extras-test bench lab report site lock release-check

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(VENV)/ready ## the environment, in .venv

demo: setup ## the whole study on small data, in minutes, with its page
	$(BIN)/snakemake --config overlay=params/overlays/demo.yaml

reproduce: setup ## the paper's study on MNIST: hours on a CPU
	$(BIN)/snakemake

test: setup ## the tests: minutes
	$(BIN)/ruff check
	$(BIN)/python -m pytest

faults: setup ## the slow tests too: processes killed, disks full
	$(BIN)/python -m pytest -m "slow or not slow"

extras-test: setup site ## the tests of what lies in extras, some in Chromium or on a Slurm of this machine
	PYTHONPATH=tests $(BIN)/python -m pytest -p conftest extras

bench: setup ## how fast, compared with what (about half an hour); BENCH=folder
	mkdir -p $(BENCH)
	$(BIN)/papermill extras/benchmark/benchmark.ipynb $(BENCH)/benchmark.ipynb -p folder $(BENCH) --log-output --no-progress-bar

lab: setup ## JupyterLab
	$(BIN)/jupyter lab

report: setup ## everything that is derived from the official runs
	$(BIN)/python workflow/summarize.py $(OFFICIAL)
	$(PAPERMILL) notebooks/report.ipynb $(OFFICIAL)/summary/report.ipynb
	$(BIN)/jupyter nbconvert --log-level ERROR --to html --no-input --embed-images $(ALONE) --TagRemovePreprocessor.enabled=True \
	  --TagRemovePreprocessor.remove_cell_tags=notebook-only --output-dir $(OFFICIAL) --output report.html $(OFFICIAL)/summary/report.ipynb
	$(PAPERMILL) extras/page/draw_a_digit.ipynb $(OFFICIAL)/summary/draw_a_digit.ipynb -p page $(OFFICIAL)/draw_a_digit.html

site: site/venv/ready ## a website of the pages and notebooks that there are: site/html/index.html
	site/venv/bin/sphinx-build -W -E -q -c extras/site -d site/doctrees . site/html
	tar cf - --exclude '*.ipynb' $(OFFICIAL)/draw_a_digit.html $(OFFICIAL)/summary | tar xf - -C site/html
	cp site/html/README.html site/html/index.html

editions: setup ## the lesson for students, without its solutions, into editions
	$(BIN)/jupyter nbconvert --log-level ERROR --to notebook --TagRemovePreprocessor.enabled=True \
	  --TagRemovePreprocessor.remove_cell_tags=solution --output-dir editions notebooks/why_training_collapses.ipynb

lock: setup ## requirements.txt from environment.yml
	$(BIN)/python -m pip install --quiet uv==0.13.9
	sed -nE "/^      - [A-Za-z]/{s/^ *- //; s/ #.*//; /;/!s/$$/; python_version < '3.14'/; p;}" environment.yml | $(BIN)/uv pip compile - \
	  --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" --quiet -o requirements.txt
	printf 'python-3.14-is-too-new-take-3.11-to-3.13==1 ; python_version >= "3.14" \\\n    --hash=sha256:%064d\n' 0 >> requirements.txt

release-check: ## refuses a project whose address is not set yet
	@! grep -rl OWNER/REPO CITATION.cff README.md notebooks extras || { echo "still say OWNER/REPO: see CONTRIBUTING.md"; exit 1; }

$(VENV)/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.txt
	touch $@

site/venv/ready: extras/site/requirements.txt
	$(PYTHON) -m venv site/venv
	site/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement extras/site/requirements.txt
	touch $@
