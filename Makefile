# Needs Python 3.11 or newer and make; Docker only for `make e2e`. All else goes into .venv, once.

VENV := .venv
BIN := $(VENV)/bin
# What has been installed from a lock file, and again when that has changed: for the demo; for the tests as well; for
# `make check` and its like; for `make e2e`.
DEMO := $(VENV)/.demo
READY := $(VENV)/.ready
TOOLS := $(VENV)/.tools
E2E := $(VENV)/.e2e
COVER := $(VENV)/.cover
EXAMPLES := $(filter-out examples/gitlab-ci.yml,$(wildcard examples/*.yml))
WORKFLOWS := $(wildcard .github/workflows/*.yml tests/e2e/workflows/*.yml) $(EXAMPLES)
# The lock files are complete: nothing to resolve. Bytecode is made when a module is first imported.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test cover e2e bench check fmt lock pictures

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "make %-8s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(DEMO) ## run the action against a simulated platform (SCENARIO=failure and others: see README)
	@$(BIN)/python -m matatika_simulator.demo $(SCENARIO)

test: $(READY) ## run the unit and integration tests: no network, no container engine
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

cover: $(COVER) ## measure which branches of the action the tests take (of steps, those that run in the tests' own process)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage report

e2e: $(E2E) ## build the image and run it under docker and act (needs a container engine)
	$(BIN)/pytest tests/e2e

bench: $(READY) ## measure, and write the tables of BENCHMARKS.md
	$(BIN)/python -m benchmarks

check: $(TOOLS) ## lint, type-check, and validate the action, its image and its workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/actionlint -shellcheck= -pyflakes= $(WORKFLOWS)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci examples/gitlab-ci.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(BIN)/zizmor --offline --persona=pedantic .
	$(BIN)/zizmor --offline --persona=pedantic --config tools/zizmor-examples.yml $(EXAMPLES)

fmt: $(TOOLS) ## format the code, and mend what the linter can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

lock: $(TOOLS) ## write the lock files anew (UPGRADE=1: with the newest versions)
	$(LOCK) --output-file requirements.txt pyproject.toml
	$(LOCK) --output-file requirements-demo.txt --group demo pyproject.toml --constraint requirements.txt
	$(LOCK) --output-file requirements-test.txt --group test --constraint requirements-demo.txt
	$(LOCK) --output-file requirements-client.txt --group client --no-deps
	$(LOCK) --output-file requirements-tools.txt --group tools --constraint requirements-demo.txt --constraint requirements-test.txt
	$(LOCK) --output-file requirements-cover.txt --group cover
	$(LOCK) --output-file requirements-e2e.txt --group e2e

pictures: $(READY) ## run the demo, and make the README's pictures of it (needs Chromium)
	$(BIN)/python -m tools.pictures

$(DEMO): requirements-demo.txt
	@$(BIN)/python -c '' 2>/dev/null || { \
		for python in python3 python3.14 python3.13 python3.12 python3.11; do \
			$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
			python=; \
		done; \
		[ -n "$$python" ] || { echo 'make: needs Python 3.11 or newer with its venv module, and found none' >&2; exit 1; }; \
		echo "Setting up $(VENV) with $$($$python --version) ..."; \
		$$python -m venv --clear $(VENV); \
	}
	@$(PIP) --requirement requirements-demo.txt
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "src.pth").write_text("$(CURDIR)/src")'
	@touch $@

$(READY): $(DEMO) requirements-test.txt requirements-client.txt
	@$(PIP) --requirement requirements-test.txt --requirement requirements-client.txt
	@touch $@

$(TOOLS): $(READY) requirements-tools.txt
	@$(PIP) --requirement requirements-tools.txt
	@touch $@

$(COVER): $(READY) requirements-cover.txt
	@$(PIP) --requirement requirements-cover.txt
	@touch $@

$(E2E): $(READY) requirements-e2e.txt
	@$(PIP) --requirement requirements-e2e.txt
	@touch $@
