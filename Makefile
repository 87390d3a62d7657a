# Everything the project can do. It needs Python 3.11 or newer, make and a package index; the environments
# are made here when a target first needs them, and again when pyproject.toml changes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-frameworks lint types docs races bench soak clean

# An interpreter of your own choice, and what to pass on: make demo ARGS=--json
PYTHON ?=
ARGS ?=

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv-demo/.stamp ## see stale reads happen, and not: in a catalogue, to an agent, between processes, and between machines
	@.venv-demo/bin/python -m examples.catalogue $(ARGS)
	@echo
	@.venv-demo/bin/python -m examples.agent_shop $(ARGS)
	@echo
	@.venv-demo/bin/python -m examples.workers $(ARGS)
	@echo
	@scripts/need-redis
	@.venv-demo/bin/python -m examples.machines $(ARGS)

test: .venv/.stamp ## run every check, on every supported Python that is installed
	@scripts/need-redis
	@.venv/bin/python scripts/check.py

test-frameworks: .venv-frameworks/.stamp ## run the tools of real agent frameworks, offline
	@.venv-frameworks/bin/python scripts/check.py frameworks

lint: .venv/.stamp ## check style, formatting, marks and the direction of imports
	@.venv/bin/python scripts/check.py style marks imports

types: .venv/.stamp ## check types: mypy, pyright, and that every public name has one
	@.venv/bin/python scripts/check.py mypy pyright

docs: .venv/.stamp ## build the documentation into site/
	@.venv/bin/python scripts/check.py docs

races: .venv/.stamp ## explore the schedules of the races suite in depth
	@scripts/need-redis
	.venv/bin/python -m pytest tests/races tests/contract --deep -o faulthandler_timeout=0 $(ARGS)

bench: .venv/.stamp ## measure, as ratios within one run
	@scripts/need-redis || echo "What is measured beside a server is left out." >&2
	@.venv/bin/python -m bench $(ARGS)

soak: .venv/.stamp ## run ten million operations in constant memory, and plot them
	@.venv/bin/python -m bench.soak $(ARGS)

clean: ## remove the environments and everything that was built
	rm -rf .venv .venv-* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis \
		.coverage build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call environment,INTERPRETER,GROUPS): the environment in the folder of the target, with the project in it.
define environment
@echo "making $(@D)"
@python=$(1) && "$$python" -m venv $(@D)
@$(@D)/bin/python -m pip install -qq --upgrade 'pip>=25.1'
@$(@D)/bin/python -m pip install -qq --editable . $(addprefix --group ,$(2))
@touch $@
endef

python = $(or $(PYTHON),$$(scripts/find-python))

.venv/.stamp: pyproject.toml
	$(call environment,$(python),test lint types docs demo bench)

.venv-demo/.stamp: pyproject.toml
	$(call environment,$(python),demo agent-demo)

.venv-frameworks/.stamp: pyproject.toml
	$(call environment,$(python),test types demo frameworks)

.venv-3.%/.stamp: pyproject.toml
	$(call environment,$$(scripts/find-python 3.$*),test)
