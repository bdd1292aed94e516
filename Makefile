# make demo   reconstruct a movie of the simulated mouse (in napari where there is a display)
# make test   everything a change has to pass, in minutes; TESTS=tests/cli runs a part of the tests
# make docs   the documentation's site, into site/
# make help   the rest

VENV ?= .venv
BIN := $(VENV)/bin
# One more than two cores: tests wait for processes and pictures now and then.
WORKERS ?= 3
TESTS ?=
OUT ?= demo_output
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)
LOCK := pyproject.toml constraints.txt

# What Qt and OpenGL need of a Debian or Ubuntu system, and a display for machines without one.
LIBRARIES := libgl1 libegl1 libopengl0 libgl1-mesa-dri libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 \
	libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libdbus-1-3 libfontconfig1
PACKAGES := xvfb $(LIBRARIES)

# Python compiles what it imports where it first imports it; to compile all that is installed takes as long again.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt
NEW_PIP = $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

# And what it compiled it keeps, whatever the surroundings say: many tests start processes of their own.
export PYTHONDONTWRITEBYTECODE :=

DISPLAY_HERE := $(shell [ "$$(uname)" = Linux ] && echo "xvfb-run -a -s '-screen 0 1600x1000x24'")
# A test computes in one thread, Mesa draws in the thread that asks (threads of its own get into the workers' way), and
# freed memory is kept for the next short run, which would else spend a tenth of its time on fresh pages.
SURROUNDINGS = OMP_NUM_THREADS=1 LIBGL_ALWAYS_SOFTWARE=1 LP_NUM_THREADS=0 \
	MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824
PYTEST = $(DISPLAY_HERE) $(BIN)/pytest -n $(WORKERS) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-long lint docs docs-blocks notebooks bench bench-history kernels mutation torture system-packages clean

help: ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

venv: $(VENV)/.installed ## make .venv with the locked dependencies

demo: $(VENV)/.installed ## run the demo; OUT=folder says where its files go
	$(BIN)/vidrecon demo --out $(OUT)

# Types are checked beside the tests, which leave a core idle now and then. Tests that share what they need lie beside
# each other: each worker takes the half of them, and who is done first takes of the other's.
test: ## style, types, import contract and all tests but the long ones
	@$(MAKE) --no-print-directory -j2 $(VENV)/.tools system-packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@export $(SURROUNDINGS); failed=; \
	said=$$(mktemp); { nice -n 5 $(BIN)/mypy && $(BIN)/lint-imports; } >$$said 2>&1 & types=$$!; \
	trap 'kill $$types 2>/dev/null' INT TERM; \
	echo "$(PYTEST) -m 'not long' $(TESTS)"; \
	$(PYTEST) -m 'not long' $(TESTS) || failed="$$failed tests"; \
	wait $$types || failed="$$failed types-or-imports"; \
	cat $$said; rm -f $$said; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

test-long: $(VENV)/.tools system-packages ## the tests that make test leaves out: whole golden runs, more kinds, more kills
	$(SURROUNDINGS) $(PYTEST) -m long $(TESTS)

lint: $(VENV)/.tools ## style, types and import contract only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(VENV)/.docs ## run the notebooks and keep what they show; some minutes
	$(BIN)/python notebooks/execute.py

docs-blocks: $(VENV)/.tools ## run every command and piece of Python that the documentation shows; some minutes
	OMP_NUM_THREADS=1 $(BIN)/python docs/run_blocks.py

docs: $(VENV)/.docs ## the documentation's site, into site/; fails at any warning
	NO_MKDOCS_2_WARNING=1 QT_QPA_PLATFORM=offscreen $(BIN)/mkdocs build --strict --quiet

bench: $(VENV)/.installed ## speed beside the published loop, to docs/performance.md; half an hour
	$(BIN)/python -m benchmarks.speed --out docs/performance.json --markdown docs/performance.md --overwrite

bench-history: $(VENV)/.tools ## is this commit slower than the stored baseline? (installs asv); minutes
	$(PIP_INSTALL) --group history
	$(BIN)/asv machine --yes >/dev/null
	OMP_NUM_THREADS=1 $(BIN)/asv run --python=same --set-commit-hash "$$(git rev-parse HEAD)"
	$(BIN)/python -m benchmarks.history.compare

kernels: $(VENV)/.tools ## the GPU's fused kernels by Triton's interpreter (installs Triton, 1 GB)
	$(PIP_INSTALL) triton
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 0 tests/encoders/frozen/test_fused_block.py

mutation: $(VENV)/.tools ## do the tests notice a wrong line? faults put in one by one (installs cosmic-ray); a quarter of an hour
	$(PIP_INSTALL) cosmic-ray
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutation

torture: $(VENV)/.tools system-packages ## damaged files, kills, lying servers, odd surroundings, a monkey on the window; hours
	@export OMP_NUM_THREADS=1 LIBGL_ALWAYS_SOFTWARE=1; failed=; \
	$(BIN)/python -m benchmarks.safety.damage --seeds 5 --cases 1000 || failed="$$failed damage"; \
	$(BIN)/python -m benchmarks.safety.kills --kills 300 || failed="$$failed kills"; \
	$(BIN)/python -m benchmarks.safety.lying_server || failed="$$failed lying_server"; \
	$(BIN)/python -m benchmarks.safety.surroundings || failed="$$failed surroundings"; \
	$(DISPLAY_HERE) $(BIN)/python -m benchmarks.safety.monkey --seeds 10 --cycles 1000 \
		|| failed="$$failed monkey"; \
	$(DISPLAY_HERE) $(BIN)/python benchmarks/viewer_responsiveness.py --turns 0 --docks 50 || failed="$$failed docks"; \
	[ -z "$$failed" ] || { echo "ended badly:$$failed"; exit 1; }

clean: ## remove .venv, the site and what the demo wrote
	rm -rf $(VENV) $(OUT) site

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found;" \
		"install it, or say where it is: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "no virtual environment can be made; on Debian or Ubuntu: sudo apt-get install -y python3-venv"; exit 1; }
	@$(NEW_PIP)

$(VENV)/.installed: $(LOCK) | $(BIN)/python
	@echo "installing the locked dependencies into $(VENV) ..."
	@$(PIP_INSTALL) -e '.[gui]'
	@touch $@

$(VENV)/.tools: $(LOCK) | $(BIN)/python
	@echo "installing the locked dependencies and the test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --help | grep -q -e --group || $(NEW_PIP)
	@$(PIP_INSTALL) -e '.[gui,studies]' --group dev
	@touch $@ $(VENV)/.installed

$(VENV)/.docs: $(VENV)/.tools
	@echo "installing the documentation's tools into $(VENV) ..."
	@$(PIP_INSTALL) --group docs
	@touch $@

# Installs what is missing where it may (root on Debian or Ubuntu); elsewhere says what to type.
system-packages:
	@[ "$$(uname)" = Linux ] || exit 0; \
	if ! command -v dpkg-query >/dev/null; then \
		command -v xvfb-run >/dev/null || { echo "xvfb-run is missing; install Xvfb, Mesa and libxcb-cursor"; exit 1; }; \
		exit 0; \
	fi; \
	missing=; \
	for package in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	line="apt-get update && apt-get install -y --no-install-recommends$$missing"; \
	if [ "$$(id -u)" = 0 ]; then \
		echo "$$line"; \
		export DEBIAN_FRONTEND=noninteractive; eval "$$line"; \
	else \
		echo "system packages are missing; type: sudo sh -c '$$line'"; exit 1; \
	fi
