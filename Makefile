# `make run` starts Alphadrop from a checkout; `make test` proves it works; `make ci` proves everything.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SCORER := .venv-score
STAMP  := $(VENV)/.installed
OTHER_PYTHONS := 3.12 3.13
NETWORKS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/alphadrop/networks

# Processes that run tests: they wait more than they compute. The tests of one module stay together. A daemon lowers its
# priority to this: were the others above it, it would not come to its turn for minutes.
WORKERS ?= 3
PYTEST  := nice -n 10 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope

N ?= 25
MINUTES ?= 20
FILES ?= 1000 10000
ORIGINALS ?= keep

.PHONY: help run install test test-long test-other-pythons faults crashtest soak burst check bench pictures networks \
  docs gimp-root gimp-3.0-root gimp-3.2-root ci clean

help:
	@echo "make run    install into $(VENV) and start the daemon in the foreground"
	@echo "make test   the tests, in one interpreter, in minutes"
	@echo "make faults  every way a hot folder can go wrong (docs/reliability.md)"
	@echo "make crashtest N=200  kill the daemon so often while it works, and count what became of every photograph"
	@echo "make soak MINUTES=20  camera photographs and odd files for so long; memory must stay level"
	@echo "make burst  ten thousand small files at once"
	@echo "make check  formatting, lint, types, the direction of imports, and the links of the manual"
	@echo "make docs   the user's manual as pages to read from the disk: build/manual/index.html"
	@echo "make bench  measure, beside the limit and rembg, and print a page of tables; BENCH=--quick is shorter"
	@echo "make ci     all of it, the long tests, and the other interpreters that are here"

# Whether the environment sees the system's packages. PyGObject is one, and gives the icon in the panel its menu; what is
# installed and what is tested sees none of them.
sees_system = sed -i.old 's/^\(include-system-site-packages = \).*/\1$(1)/' $(VENV)/pyvenv.cfg

run: $(VENV)/.runtime
	$(call sees_system,$(if $(shell $(PYTHON) -c 'import gi' 2>/dev/null && echo yes),true,false))
	$(BIN)/alphadrop run

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" -c constraints.txt

$(VENV)/.runtime: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[heic,explain,notifications]'
	touch $@

$(STAMP): $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[heic,quantize,explain,notifications,scale,openvino]' --group test --group check
	touch $@ $(VENV)/.runtime

install: $(STAMP)

test: $(STAMP) gimp-3.0-root
	$(call sees_system,false)
	$(PYTEST) -m "not long" $(TESTS)

test-long: $(STAMP) $(VENV)/.docs gimp-root
	$(call sees_system,false)
	ALPHADROP_ISNET=$(NETWORKS)/isnet-imgly.onnx ALPHADROP_U2NET=$(NETWORKS)/u2net.onnx $(PYTEST) -m long

faults: $(STAMP)
	$(PYTEST) tests/faults

crashtest: $(STAMP)
	$(BIN)/python tests/endurance/crashtest.py --kills $(N) --originals $(ORIGINALS)

soak: $(STAMP)
	$(BIN)/python tests/endurance/soak.py --minutes $(MINUTES) --photos "$$ALPHADROP_PHOTOS" --odd "$$ALPHADROP_ODD"

burst: $(STAMP)
	$(BIN)/python tests/endurance/burst.py --files $(FILES)

# Without the tests whose work is done by other programs (GIMP, browsers, panels) and those of the manual's commands.
SAME_IN_EVERY_PYTHON := tests/gimp tests/web tests/docs tests/desktop/test_tray_on_screen.py

test-other-pythons:
	@for version in $(OTHER_PYTHONS); do \
	  if interpreter=$$(.ci/find-python $$version); then \
	    ALPHADROP_U2NET=$(NETWORKS)/u2net.onnx \
	      $(MAKE) --no-print-directory test TESTS="$(SAME_IN_EVERY_PYTHON:%=--ignore %)" PYTHON=$$interpreter VENV=.venv-$$version \
	      || exit 1; \
	  else echo "Python $$version is not here: not tested with it"; fi; \
	done

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(MAKE) --no-print-directory docs

# Strict: a link that leads nowhere, or a page that no menu names, ends it.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

$(VENV)/.docs: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	touch $@

# The FP32 networks, into the user's cache: what the embedded one is compared with.
networks: $(STAMP)
	$(BIN)/python benchmarks/fetch_networks.py

bench: $(STAMP) networks gimp-3.0-root $(SCORER)/.installed
	PYTHONPATH=tests $(BIN)/python benchmarks/bench.py $(BENCH)
	PYTHONPATH=tests $(BIN)/python benchmarks/latency.py
	PYTHONPATH=tests $(BIN)/python benchmarks/web.py
	$(BIN)/python benchmarks/explain.py $(if $(BENCH),--runs 3) \
	  u2net-int8 u2netp=$(NETWORKS)/u2netp.onnx u2net=$(NETWORKS)/u2net.onnx
	PYTHONPATH=tests $(BIN)/python benchmarks/scale.py memory
	if [ -n "$(BENCH)" ]; then :; elif [ -n "$$ALPHADROP_EVAL" ]; then \
	  $(BIN)/python benchmarks/accuracy.py --scorer $(SCORER)/bin/python --model $(NETWORKS)/u2net.onnx u2net-int8; \
	else echo "ALPHADROP_EVAL is not set: accuracy was not measured"; fi

$(SCORER)/.installed: benchmarks/score-requirements.txt
	$(PYTHON) -m venv $(SCORER)
	$(SCORER)/bin/python -m pip install --quiet -r benchmarks/score-requirements.txt
	touch $@

pictures: $(STAMP)
	PYTHONPATH=tests $(BIN)/python docs/make_pictures.py

# The tests of the GIMP plug-in run in a real GIMP, 3.0 and 3.2, each in a folder of its own outside the checkout.
# Where it cannot be built (no root rights, no mmdebstrap: status 3) they are skipped and say so.
gimp-root: gimp-3.0-root gimp-3.2-root

gimp-3.0-root:
	tests/gimp/build_root.sh trixie || [ $$? -eq 3 ]

gimp-3.2-root:
	tests/gimp/build_root.sh forky || [ $$? -eq 3 ]

ci:
	$(MAKE) test
	$(MAKE) check
	$(MAKE) networks
	$(MAKE) test-long
	$(MAKE) crashtest N=25
	$(MAKE) crashtest N=5 ORIGINALS=move
	$(MAKE) crashtest N=5 ORIGINALS=delete
	$(MAKE) test-other-pythons
	$(MAKE) bench BENCH=--quick

clean:
	rm -rf .venv .venv-* dist build .mypy_cache .ruff_cache .pytest_cache
