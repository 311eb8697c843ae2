# skipln: `make` alone explains every target.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

SCALE ?= demo
SEEDS ?=
ROWS ?=
LAUNCHER ?= local
TABLE ?= table2
ALLOW ?=
ARGS ?=
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

# An editable install that leaves the dependencies alone: they come from the lock.
INSTALL := $(VENV)/bin/uv pip install --quiet --python $(RUN) --offline --no-deps --no-build-isolation --editable .

.PHONY: help pages gallery docs pdf setup peers parity data table1 table2 table3 table4 table5 table6 table7 table8 table9 table10 table11 table2_recipe figure1 publish results verify-results rerun status curves wandb-sync bench \
	test test-slow test-matrix test-slurm test-parity test-browser test-faults fuzz lint types check lock clean

help: ## explain every target
	@echo 'make TARGET [SCALE=test|demo|small|paper] [SEEDS=3 | SEEDS=2,5] [ROWS=skip,rskip_ln_2] [ARGS="KEY=VALUE …"]'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'An interrupted command continues where it stopped when you give it again; nothing is done twice.'
	@echo 'One run: $(RUN) -m skipln.train skip=rskip_ln skip.lam=3 seed=2   (--help lists every option)'

setup: $(VENV)/.editable ## make .venv from requirements.lock (checking hashes) and install skipln in it

$(VENV)/.installed: requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo 'error: $(PYTHON) not found; give one of version 3.11 or later as PYTHON=…' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Python 3.11 or later is needed; give one as PYTHON=…' >&2; exit 2; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { echo 'error: no venv; on Debian: apt-get install python3-venv' >&2; exit 2; }
	@# uv installs the lock in a fraction of pip's time; the lock has uv's own hash too.
	@awk '/^uv==/{p=1} p{print; if (!/\\$$/) exit}' requirements.lock > $(VENV)/uv.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.lock \
		&& $(VENV)/bin/uv pip sync --quiet --python $(RUN) --require-hashes requirements.lock \
		|| { echo 'error: the packages could not be installed; correct the problem above and start the same command again' >&2; exit 2; }
	@touch $@

$(VENV)/.editable: $(VENV)/.installed pyproject.toml setup.py
	@$(INSTALL)
	@touch $@

peers: setup $(VENV)/.peers ## add fairseq, Marian and CTranslate2 to .venv, for the interop tests and the benchmarks

$(VENV)/.peers: requirements-peers.lock $(VENV)/.installed
	@$(VENV)/bin/uv pip sync --quiet --python $(RUN) --require-hashes requirements-peers.lock && $(INSTALL) \
		|| { echo 'error: the packages could not be installed; correct the problem above and start the same command again' >&2; exit 2; }
	@touch $@

parity: peers $(VENV)/.parity ## add other implementations of the methods to .venv, for the parity tests

$(VENV)/.parity: requirements-parity.lock $(VENV)/.peers
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --require-hashes -r requirements-parity.lock \
		|| { echo 'error: the packages could not be installed; correct the problem above and start the same command again' >&2; exit 2; }
	@touch $@

data: setup ## prepare the demo text; print counts and checksums
	$(RUN) -m scripts.prepare_data

table1: setup ## skip, xSkip, xSkip+LN and rSkip+LN by λ, on images: run what is missing, print the table
table2: setup ## the same on translation
table3: setup ## BN in place of LN, on images and translation
table4: setup ## Transformer-base and -big on WMT14 En-De: SCALE=paper (DRY=1: only print its runs and GPU-hours)
table5: setup ## the forms on CIFAR-10, CIFAR-100 and ImageNet
table6: setup ## skipln and fairseq for the same time on Multi30k: SCALE=small (after make peers)
table7: setup ## every connection, with equally many updates; the validation set chooses the learning rate
table8: setup ## other norms inside the forms, or in place of them, on images and translation
table9: setup ## pre-LN, post-LN and rSkip by warm-up and learning rate
table10: setup ## softmax attention and FAVOR+, by form and sentence length
table11: setup ## do attacks on one form deceive another? PGD, MI-FGSM, SGM (ARGS="data.dir=FOLDER": Fashion-MNIST)
table2_recipe: setup ## compare recipes for table 2 at demo scale, by their validation loss alone
table1 table2 table3 table4 table5 table6 table7 table8 table9 table10 table11 table2_recipe:
	@$(RUN) -m skipln.tables run $@ --scale $(SCALE) --seeds "$(SEEDS)" --rows "$(ROWS)" --launcher $(LAUNCHER) $(if $(DRY),--dry-run) $(ARGS)

figure1: setup ## measure and draw gradients at every residual site against depth and λ, for every connection
	@$(RUN) -m skipln.figures run $@ --scale $(SCALE) $(ARGS)

publish: setup ## make your finished runs the published ones: make publish TABLE=table2 SCALE=demo
	@$(if $(filter figure%,$(TABLE)),$(RUN) -m skipln.figures publish $(TABLE) --scale $(SCALE) --allow "$(ALLOW)",\
		$(RUN) -m skipln.tables publish $(TABLE) --scale $(SCALE) --seeds "$(SEEDS)" --rows "$(ROWS)" --allow "$(ALLOW)" $(ARGS))

results: setup ## rewrite every page under results/, and the README's tables, from the committed records
	@$(RUN) -m skipln.tables results
	@$(RUN) -m skipln.figures results
	@$(RUN) -m scripts.bench.records.page
	@$(RUN) -m scripts.evidence
	@$(RUN) -m scripts.pages.readme

verify-results: setup ## recompute everything stated in results/ from what is committed; report disagreements
	@$(RUN) -m scripts.verify_results

rerun: setup ## train one published run again and say whether it agrees: make rerun CELL=table2/demo/rskip_ln_2/seed1
	@$(RUN) -m scripts.rerun $(CELL) $(ARGS)

pages: setup ## rewrite the pages made from the sources: options, refused pairs, error lines, costs, the API
	@$(RUN) -m skipln.configuration.help > docs/configuration.md
	@$(RUN) -m scripts.pages.illegal_pairs
	@$(RUN) -m scripts.pages.troubleshooting
	@$(RUN) -m scripts.pages.costs
	@$(RUN) -m scripts.pages.api
	@$(RUN) -m scripts.gallery --pages

gallery: setup ## measure every connection, and rewrite the pages with its formula, source, start, cost, gradients, rank in table 7
	@$(RUN) -m scripts.gallery

docs: setup ## build README, docs/ and results/ as a site, build/site/index.html; a dead link stops it
	@$(RUN) -m sphinx -W --keep-going --quiet -c docs -b html . build/site && echo build/site/index.html

pdf: setup ## write every published picture as PDF, one column wide, fonts embedded: build/pdf/
	@$(RUN) -m scripts.pages.pictures

status: setup ## show each cell of each table: queued, running, done, diverged, failed or no data
	@$(RUN) -m skipln.tables status --scale $(SCALE) --seeds "$(SEEDS)"

curves: setup ## make curves.html, curves.svg and curves.pdf of your table: make curves TABLE=table2
	@$(RUN) -m skipln.tables curves $(TABLE) --scale $(SCALE) --seeds "$(SEEDS)" $(ARGS)

wandb-sync: setup ## send what W&B lacks of runs/ (TABLE=table2: only that table's runs)
	@$(RUN) -m scripts.tracking.sync $(if $(filter file,$(origin TABLE)),,$(TABLE)) $(ARGS)

bench: peers ## compare our speed with named peers: make bench BENCH="mt-step-small beam5"; all parts without BENCH
	@$(RUN) -m scripts.bench $(BENCH) $(ARGS)

test: setup ## run the default tests: minutes, no network
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile \
		-m 'not slow and not slurm and not browser and not matrix' $(ARGS)

test-slow: setup ## run the tests marked slow
	@$(RUN) -m pytest -m slow $(ARGS)

test-matrix: setup ## test every legal connection × kind of net × norm, and compile the GPU kernels for older GPUs too
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 -m matrix $(ARGS)

test-slurm: setup ## run the tests on a private SLURM cluster; without root and SLURM's Debian packages they skip
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m slurm $(ARGS)

test-parity: parity ## compare connections, norms and attentions with other implementations, on equal weights
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m parity tests/parity tests/tasks $(ARGS)

test-browser: setup ## test the pages in headless Chromium
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -m browser $(ARGS)

test-faults: setup ## attack a table and its files, and write docs/reliability.md (SHARE=0.1: a tenth of the attacks)
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --maxprocesses 4 --dist worksteal -m faults --faults $(or $(SHARE),1) \
		--timeout 1800 tests/faults $(ARGS)

FUZZ_TARGETS := overrides manifest records run_folder configuration small_files bpe tar idx_files checkpoint
SECONDS_EACH ?= 60

fuzz: setup ## feed every reader coverage-guided bytes for a minute each (SECONDS_EACH=600); installs atheris into .venv
	@$(RUN) -c 'import atheris' 2>/dev/null || $(VENV)/bin/uv pip install --quiet --python $(RUN) 'atheris>=3'
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p .fuzz/$$target && OMP_NUM_THREADS=1 $(RUN) -m tests.fuzz $$target .fuzz/$$target tests/fuzz/corpus/$$target \
			-max_total_time=$(SECONDS_EACH) -artifact_prefix=.fuzz/$$target- || exit 1; \
	done

lint: setup ## run ruff: lint and format
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .

types: setup ## run mypy
	@$(RUN) -m mypy

check: lint types ## run lint and types

EXTRAS := --extra dev --extra docs --extra wandb --extra slurm --extra wmt
COMPILE := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

lock: setup ## resolve pyproject.toml again into requirements.lock, requirements-peers.lock and requirements-parity.lock
	$(COMPILE) $(EXTRAS) pyproject.toml -o requirements.lock
	$(COMPILE) $(EXTRAS) --extra peers --constraint requirements.lock pyproject.toml -o requirements-peers.lock
	$(COMPILE) $(EXTRAS) --extra peers --extra parity --constraint requirements-peers.lock pyproject.toml -o $(VENV)/parity.lock
	@awk 'NR == FNR {if (/^[a-z]/) there[$$1]; next} /^[a-z]/ {new = !($$1 in there)} new' \
		requirements-peers.lock $(VENV)/parity.lock > requirements-parity.lock

clean: ## remove the environment and caches; runs/, data/ and results/ stay
	rm -rf $(VENV) build skipln.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
