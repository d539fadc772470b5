# `make study` and `make test` are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
# Stages say `python`: it must be the one of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1

.PHONY: help study experiment test torture lint docs check-lock map-page check-map-page setup setup-dev clean

help:
	@echo "make study   run the default study and print its comparison table"
	@echo "make experiment NAME=nceas   run a study of experiments/"
	@echo "make test    run every test"
	@echo "make torture   disturb the pipeline thousands of times, for hours, and write docs/robustness.md"
	@echo "make lint    ruff and mypy"
	@echo "make docs    build the documentation site into site/"
	@echo "make map-page   build the map page that ships with the package; needs npm"
	@echo "make clean   remove the environment"

setup: .venv/.installed
setup-dev: .venv/.installed-dev

# TORCH_INDEX may name another index for torch, such as https://download.pytorch.org/whl/cpu
.venv/.installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is too old; set PYTHON to a Python of 3.11 or newer"; exit 1; }
	@echo "Setting up .venv: a few minutes, once"
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --disable-pip-version-check --no-compile -q --index-url $(TORCH_INDEX) $$(grep '^torch==' constraints.txt))
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -q -c constraints.txt -e '.[study,rasters]'
	@touch $@

# What tests and checks need beside.
.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --no-compile -q -c constraints.txt -e '.[dev]'
	@touch $@

# DVC wants a git repository; a source archive is none.
REPOSITORY = git rev-parse --git-dir >/dev/null 2>&1 || { echo "error: $(CURDIR) is no git repository, as DVC needs one: run \`git init\` once, or \`dvc config --local core.no_scm true\` to do without"; exit 1; }
NO_SCM = dvc config core.no_scm 2>/dev/null | grep -qx true

# Further options go to the command that runs the study: make study RUN="--executor ray --address 10.0.0.1:6379"
RUN =

study: setup
	@$(NO_SCM) || $(REPOSITORY)
	@python -m presence_only.pipeline.run $(RUN) dvc.yaml notebooks/dvc.yaml
	@python -m presence_only.pipeline.show

# A study of experiments/, by name: make experiment NAME=nceas
experiment: setup
	@test -f experiments/$(NAME)/params.yaml || test -f experiments/$(NAME)/dvc.yaml || { echo "error: NAME=$(NAME) is no folder of experiments/; there are:" $$(cd experiments && echo */); exit 1; }
	@$(NO_SCM) || $(REPOSITORY)
	@cd experiments/$(NAME) && if test -f params.yaml; then python -m presence_only.pipeline.run $(RUN); fi
	@dvc repro -R experiments/$(NAME)
	@cd experiments/$(NAME) && if test -f params.yaml; then python -m presence_only.pipeline.show; fi

# A file a process, up to one a core; the longest file first (tests/conftest.py)
test: setup-dev
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The robustness tests in their long form; the page is written also if some trials did not hold
TORTURE = build/torture

torture: setup-dev
	@rm -rf $(TORTURE)
	@status=0; PRESENCE_ONLY_TORTURE=$(CURDIR)/$(TORTURE) python -m pytest -n auto --dist worksteal tests/robustness || status=$$?; \
		python tools/torture_table.py $(TORTURE) && exit $$status

lint: setup-dev
	ruff check .
	ruff format --check .
	mypy

# The documentation site: it opens from the disk and from any static host; a link that leads nowhere is an error
docs: setup-dev
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

# Whether dvc.lock and the committed results belong to this code and these settings
check-lock: setup
	@python tools/check_lock.py

# The map page from its source in web/map_page, with the packages of its lock file; the result is committed
MAP_PAGE = src/presence_only/reporting/map_page/static

map-page:
	cd web/map_page && npm ci --no-audit --no-fund --prefer-offline && npm run check && npm run build -- $(CURDIR)/$(MAP_PAGE)

# Whether the committed page is what its source builds
check-map-page:
	cd web/map_page && npm ci --no-audit --no-fund --prefer-offline && npm run check && npm run build -- build
	diff -r web/map_page/build $(MAP_PAGE) || { echo "error: the committed map page is not what web/map_page builds: run \`make map-page\` and commit it"; exit 1; }
	rm -r web/map_page/build

clean:
	rm -rf .venv
