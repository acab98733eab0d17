.DEFAULT_GOAL := help
.PHONY: help demo dev test test-long lint check scorecard scorecard-quick lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## A real PostgreSQL to proven curated history, headless, in about four minutes
	@tools/environment core
	@.venv/bin/dms-assets demo $(DEMO_ARGS)

dev: ## The whole platform in .dms, with its UI, until Ctrl-C (DEV_ARGS="--port 8080")
	@tools/environment core
	@exec .venv/bin/dms-assets dev $(DEV_ARGS)

test: ## All tests, on real parts, three at a time (PYTEST_ARGS="-k landing" for some)
	@tools/environment dev
	@.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

test-long: ## The tests that take minutes each and are not part of the others: very many files, full disks, kills
	@tools/environment dev
	@.venv/bin/python -m pytest -m long $(PYTEST_ARGS)

lint: ## Format, lint, types, import rules
	@tools/environment dev
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint ## Lint, then what is generated: locks in step with pyproject.toml, dbt models with the metadata
	@tools/lock --check

scorecard: ## Measure the figures of reliability, into docs/reliability.md; about an hour
	@tools/environment dev
	@.venv/bin/python -m tests.scorecard --write --jobs 2 $(SCORECARD_ARGS)

scorecard-quick: ## The reduced scorecard: five minutes at most
	@tools/environment dev
	@.venv/bin/python -m tests.scorecard --quick --jobs 2 $(SCORECARD_ARGS)

lock: ## Write the lock files anew from pyproject.toml
	@tools/environment dev
	@tools/lock

clean: ## Remove .venv, .dms and caches
	rm -rf .venv .dms .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dbt_project/target dbt_project/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
